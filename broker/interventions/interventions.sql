-- What operators do to documents and to quarantined messages.

-- name: write_action
-- Who did what, to what, and why.
INSERT INTO admin_action (at, actor, action, target, reason) VALUES ($1, $2, $3, $4, $5);

-- name: write_event
-- The same as bytes for the log.
INSERT INTO event (at, kind, body, leaf, document_id, epoch)
SELECT $1, $2, $3, $4, $5, e.epoch FROM exchange_epoch e;

-- name: lock_document
-- One document, locked against other operators.
SELECT d.document_id, d.held_at FROM document d WHERE d.document_id = $1 FOR NO KEY UPDATE;

-- name: lock_deliveries
-- All its deliveries with where they stand, locked.
SELECT v.document_id, v.recipient_id, r.code, v.owner_id, v.addressed_as, v.processing, v.recalled, v.sends,
       v.dispatched_at, v.closed_at
FROM delivery v JOIN agency r ON r.agency_id = v.recipient_id
WHERE v.document_id = $1
ORDER BY v.recipient_id
FOR NO KEY UPDATE OF v;

-- name: set_hold
-- Nothing of this document leaves from now on; or, with null, everything may.
UPDATE document SET held_at = $2 WHERE document_id = $1;

-- name: turn
-- Deliveries that never went out take another state; a closing one gets its time.
UPDATE delivery SET processing = $3, closed_at = $4
WHERE document_id = $1 AND recipient_id = ANY ($2::bigint[]) AND dispatched_at IS NULL;

-- name: on_their_way
-- Publishes of a document that are decided and not confirmed.
SELECT owner_ids, recipient_ids FROM outgoing WHERE document_id = $1 AND published_at IS NULL;

-- name: quarantine
-- Quarantined messages, those waiting for a decision first, newest first.
SELECT rejection_id, at, amqp_user, kind, claimed_from, id, digest, message_id, code, detail, settled_at,
       octet_length(body) AS bytes
FROM rejection
WHERE quarantined AND (settled_at IS NULL OR $2)
ORDER BY settled_at IS NOT NULL, at DESC, rejection_id DESC
LIMIT $1;

-- name: quarantined
-- One quarantined message with its bytes.
SELECT rejection_id, at, amqp_user, kind, claimed_from, id, digest, message_id, code, detail, settled_at,
       octet_length(body) AS bytes, body
FROM rejection WHERE rejection_id = $1 AND quarantined;

-- name: settle
-- An operator has decided; only once.
UPDATE rejection SET settled_at = $2 WHERE rejection_id = $1 AND settled_at IS NULL RETURNING rejection_id;
