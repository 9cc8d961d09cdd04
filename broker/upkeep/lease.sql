-- The keeper's lease. Times are the server's clock, not the transaction's start: a transaction may have waited.

-- name: take
-- Take the lease if nobody has it or it has run out; the epoch rises each time it changes hands.
INSERT INTO keeper_lease (epoch, holder, expires_at)
VALUES (1, $1, clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (singleton) DO UPDATE
   SET epoch = keeper_lease.epoch + 1, holder = excluded.holder,
       expires_at = clock_timestamp() + make_interval(secs => $2)
 WHERE keeper_lease.expires_at <= clock_timestamp()
RETURNING epoch;

-- name: renew
-- Extend the lease; no row if another keeper took it over or it ran out before.
UPDATE keeper_lease SET expires_at = clock_timestamp() + make_interval(secs => $3)
 WHERE epoch = $1 AND holder = $2 AND expires_at > clock_timestamp()
RETURNING epoch;

-- name: release
-- Give the lease up, so that a standby need not wait for it to run out.
UPDATE keeper_lease SET expires_at = clock_timestamp() WHERE epoch = $1 AND holder = $2;

-- name: fence
-- Hold the lease's row until this transaction ends; no row if the epoch is not ours any more.
SELECT epoch FROM keeper_lease WHERE epoch = $1 AND holder = $2 FOR SHARE;

-- name: end_stalled
-- End whoever has been holding the lease's row for longer than that many seconds, although the lease has run out.
SELECT pg_terminate_backend(a.pid)
  FROM pg_locks l
  JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database()
 WHERE l.relation = 'keeper_lease'::regclass AND l.mode = 'RowShareLock' AND l.granted
   AND a.xact_start < clock_timestamp() - make_interval(secs => $1)
   AND (SELECT expires_at <= clock_timestamp() FROM keeper_lease);
