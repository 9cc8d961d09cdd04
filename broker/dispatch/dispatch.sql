-- name: insert_events
-- What happened, as the bytes that will be leaves of the log.
INSERT INTO event (at, kind, body, leaf, document_id, epoch)
SELECT k.at, k.kind, k.body, k.leaf, k.document_id, e.epoch
FROM unnest($1::timestamptz[], $2::text[], $3::bytea[], $4::bytea[], $5::bigint[])
     WITH ORDINALITY AS k (at, kind, body, leaf, document_id, ordinality), exchange_epoch AS e
ORDER BY k.ordinality;

-- name: insert_outgoing
-- What must leave because of this transaction; ids come back in the order of the arguments.
INSERT INTO outgoing (kind, document_id, notice, owner_ids, recipient_ids, created_at)
SELECT k.kind, k.document_id, k.notice, k.owner_ids::bigint[], k.recipient_ids::bigint[], k.created_at
FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::text[], $5::text[], $6::timestamptz[])
     WITH ORDINALITY AS k (kind, document_id, notice, owner_ids, recipient_ids, created_at, ordinality)
ORDER BY k.ordinality
RETURNING outgoing_id;

-- name: mark_published
-- These publishes were confirmed. By primary key: the index of unpublished rows is mostly dead entries.
UPDATE outgoing SET published_at = coalesce(published_at, $2) WHERE outgoing_id = ANY ($1::bigint[]);

-- name: record_dispatched
-- Deliveries handed to RabbitMQ; what comes back had been recalled in the meantime, although it was on its way.
-- The earliest confirm counts: of a worker and a keeper that published the same row, the later may record first.
WITH handed AS (
    UPDATE delivery v
    SET processing = CASE WHEN v.processing IN ('accepted', 'held') THEN 'dispatched' ELSE v.processing END,
        dispatched_at = least(v.dispatched_at, $3), sends = v.sends + 1, last_sent_at = $3
    FROM unnest($1::bigint[], $2::bigint[]) AS k (document_id, recipient_id)
    WHERE v.document_id = k.document_id AND v.recipient_id = k.recipient_id
    RETURNING v.document_id, v.recipient_id, v.recalled, v.dispatched_at
)
SELECT document_id, recipient_id FROM handed WHERE recalled AND dispatched_at = $3;

-- name: changes_of
-- Changes that concern one of these documents.
SELECT DISTINCT c.document_id
FROM unnest($1::bigint[]) AS k (document_id)
CROSS JOIN LATERAL (SELECT document_id FROM document_concerns WHERE concerned_id = k.document_id OFFSET 0) AS c
ORDER BY c.document_id;

-- name: ask_again
-- A recall that had counted as done before the document went out after all: it has to be asked like any other.
WITH reopened AS (
    UPDATE delivery v SET recalled = false, closed_at = NULL
    FROM unnest($1::bigint[], $2::bigint[]) AS k (document_id, recipient_id)
    WHERE v.document_id = k.document_id AND v.recipient_id = k.recipient_id AND v.arrived_at IS NULL
    RETURNING v.document_id, v.recipient_id
), asked AS (
    UPDATE change_request q SET state = 'asked', answered_at = NULL
    FROM reopened r
    WHERE q.document_id = r.document_id AND q.recipient_id = r.recipient_id AND q.kind = 'recall'
    RETURNING q.asking_document_id, q.recipient_id
)
UPDATE delivery v SET processing = 'accepted', closed_at = NULL
FROM asked a
WHERE v.document_id = a.asking_document_id AND v.recipient_id = a.recipient_id AND v.processing = 'cancelled';

-- name: changes_to_release
-- Deliveries of a change that waited for the document to go out, and may now follow it (contract §3.3).
SELECT v.recipient_id, v.owner_id, v.addressed_as
FROM delivery v
WHERE v.document_id = $1 AND v.dispatched_at IS NULL AND v.closed_at IS NULL AND v.processing = 'accepted'
  AND NOT EXISTS (
      SELECT FROM outgoing o
      WHERE o.document_id = $1 AND v.recipient_id = ANY (coalesce(o.recipient_ids, o.owner_ids)))
  AND NOT EXISTS (
      SELECT FROM document_concerns c JOIN delivery e ON e.document_id = c.concerned_id
      WHERE c.document_id = $1 AND e.recipient_id = v.recipient_id AND e.dispatched_at IS NULL AND NOT e.recalled)
ORDER BY v.recipient_id;

-- name: unpublished_of
-- What was decided for these documents and has not left; held documents stay.
SELECT o.outgoing_id
FROM outgoing o JOIN document d ON d.document_id = o.document_id
WHERE o.document_id = ANY ($1::bigint[]) AND o.published_at IS NULL AND o.created_at <= $2 AND d.held_at IS NULL
ORDER BY o.outgoing_id;

-- name: outgoing_rows
-- Publishes by id.
SELECT o.outgoing_id, o.kind, o.document_id, o.status_message_id, o.notice, o.owner_ids, o.recipient_ids, o.attempt
FROM outgoing o WHERE o.outgoing_id = ANY ($1::bigint[])
ORDER BY o.outgoing_id;

-- name: documents_to_send
-- What a copy of a document carries, but for its parts.
SELECT d.document_id, d.jws, d.id, s.code AS sender, d.priority, d.accepted_at, d.leaf, d.log_by, c.der, c.custody
FROM document d JOIN agency s ON s.agency_id = d.sender_id JOIN certificate c ON c.thumbprint = d.thumbprint
WHERE d.document_id = ANY ($1::bigint[]);

-- name: inline_parts
-- Small parts of documents.
SELECT DISTINCT p.document_id, p.digest, c.inline
FROM document_part p JOIN content c ON c.digest = p.digest
WHERE p.document_id = ANY ($1::bigint[]) AND c.inline IS NOT NULL;

-- name: open_deliveries
-- Deliveries of documents that may still go out: not refused, cancelled, completed or recalled.
SELECT v.document_id, v.recipient_id, r.code, v.owner_id, v.addressed_as
FROM delivery v JOIN agency r ON r.agency_id = v.recipient_id
WHERE v.document_id = ANY ($1::bigint[]) AND v.closed_at IS NULL AND NOT v.recalled
  AND v.processing NOT IN ('refused', 'cancelled')
ORDER BY v.document_id, v.recipient_id;

-- name: statuses_to_send
-- What a forwarded status message carries.
SELECT m.status_message_id, m.jws, m.id, s.code AS sender, m.accepted_at, m.leaf, m.log_by, c.der, c.custody
FROM status_message m JOIN agency s ON s.agency_id = m.sender_id JOIN certificate c ON c.thumbprint = m.thumbprint
WHERE m.status_message_id = ANY ($1::bigint[]);

-- name: agency_codes
-- Codes of mailbox owners.
SELECT agency_id, code FROM agency WHERE agency_id = ANY ($1::bigint[]);
