-- name: mailbox_owners
-- All agencies and hubs that have a queue of their own, with the level that decides its type.
SELECT agency_id, code, level
FROM agency
WHERE has_mailbox AND state <> 'closed'
ORDER BY code;

-- name: mailboxes_made
-- Note queues that are about to be made: a first one, or one more generation whose contents the keeper has to send again.
INSERT INTO mailbox (owner_id)
SELECT agency_id FROM agency
WHERE code = ANY ($1::text[]) AND has_mailbox AND state <> 'closed'
ORDER BY agency_id
ON CONFLICT (owner_id) DO UPDATE
SET generation = mailbox.generation + 1, created_at = now(), reset_at = now()
RETURNING owner_id, generation;

-- name: mailboxes_seen
-- Note queues that exist on the server and are not known here yet, without calling them new.
INSERT INTO mailbox (owner_id)
SELECT agency_id FROM agency
WHERE code = ANY ($1::text[]) AND has_mailbox AND state <> 'closed'
ORDER BY agency_id
ON CONFLICT (owner_id) DO NOTHING;
