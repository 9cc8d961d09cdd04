-- Sessions and sign-ins for a comparison with the events that tell of them.

-- name: told
-- Every sign-in that an event tells.
SELECT at, body FROM surviving_event
WHERE kind = 'operator_action' AND convert_from(body, 'UTF8') LIKE '%"action":"session.begun"%' ORDER BY at;

-- name: readable
-- Whether this login may read sessions; the auditor's role may not.
SELECT has_table_privilege('account_session', 'SELECT');

-- name: sessions
-- Sessions that have not been swept away.
SELECT token_hash, account_id, created_at, seen_at, idle_until, ends_at, seen_at > now() + interval '1 hour' AS ahead
FROM account_session ORDER BY created_at, account_id;

-- name: signed_in
-- Sign-ins as they were written down.
SELECT at, account_id FROM account_record WHERE what = 'signed-in' AND at >= $1 ORDER BY at;
