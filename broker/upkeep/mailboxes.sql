-- What the keeper knows of each mailbox's queue.

-- name: known
-- Every mailbox that was ever seen, with whether its redelivery is unfinished.
SELECT m.owner_id, m.generation, m.created_at, m.reset_at FROM mailbox m;

-- name: note_new
-- Mailboxes seen for the first time.
INSERT INTO mailbox (owner_id) SELECT unnest($1::bigint[]) ON CONFLICT DO NOTHING;

-- name: used_before
-- Which of these owners were ever handed anything: for the others a missing queue is a new one, not a lost one.
SELECT w.owner_id FROM unnest($1::bigint[]) AS w(owner_id)
 WHERE EXISTS (SELECT FROM delivery d WHERE d.owner_id = w.owner_id AND d.sends > 0)
    OR EXISTS (SELECT FROM outgoing o WHERE o.owner_ids[1] = w.owner_id AND o.kind <> 'document'
                  AND o.published_at IS NOT NULL);

-- name: note_lost
-- The queues of these mailboxes are gone: a new generation, whose redelivery is still to come.
INSERT INTO mailbox AS m (owner_id, generation, reset_at)
SELECT w.owner_id, 2, clock_timestamp() FROM unnest($1::bigint[]) AS w(owner_id)
    ON CONFLICT (owner_id) DO UPDATE SET generation = m.generation + 1, reset_at = clock_timestamp()
 WHERE m.reset_at IS NULL OR m.created_at > m.reset_at
RETURNING owner_id, generation;

-- name: note_made
-- The queues of these mailboxes exist again since now: what was handed over before is what was lost.
UPDATE mailbox SET created_at = clock_timestamp()
 WHERE owner_id = ANY($1::bigint[]) AND created_at <= reset_at
RETURNING owner_id, generation;

-- name: settled
-- Mailboxes made again long enough ago for every publish to the old queue to be on record; with that moment.
SELECT owner_id, generation, reset_at, created_at + make_interval(secs => $1) AS lost_before
  FROM mailbox
 WHERE created_at > reset_at
   AND created_at + make_interval(secs => $1) <= clock_timestamp()
 ORDER BY reset_at, owner_id;

-- name: note_finished
-- Everything without 01 has been sent again to this generation of the mailbox; no row if it was lost once more.
UPDATE mailbox SET reset_at = NULL WHERE owner_id = $1 AND generation = $2 AND reset_at = $3 RETURNING owner_id;
