-- What is recorded of one document, and refusals. Lists of numbers travel as text ({1,2}, see `as_array`): for an array the
-- driver would first ask each new connection what an array is, which takes longer than all of these together.

-- name: document_by_id
-- Documents that carry this id, whoever sent them; at most one a sender.
SELECT d.document_id, d.id, a.code AS sender, d.digest
FROM document d JOIN agency a ON a.agency_id = d.sender_id
WHERE d.id = $1 AND ($2::text IS NULL OR a.code = $2)
ORDER BY d.accepted_at;

-- name: document_by_digest
-- The document whose manifest has this digest.
SELECT d.document_id, d.id, a.code AS sender, d.digest
FROM document d JOIN agency a ON a.agency_id = d.sender_id
WHERE d.digest = $1
ORDER BY d.accepted_at;

-- name: document_by_number
-- Documents with this number and notation, each in any of these spellings, newest first.
SELECT d.document_id, d.id, a.code AS sender, d.digest
FROM document d JOIN agency a ON a.agency_id = d.sender_id
WHERE d.number IN ($1, $2) AND d.notation IN ($3, $4, $5, $6) AND ($7::text IS NULL OR a.code = $7)
ORDER BY d.accepted_at DESC
LIMIT 20;

-- name: visible
-- Those documents that a scope may see: sent by one of these agencies or to be received by one.
SELECT d.document_id FROM document d
WHERE d.document_id = ANY ($1::text::bigint[])
  AND (d.sender_id = ANY ($2::text::bigint[]) OR EXISTS (
        SELECT FROM delivery v WHERE v.document_id = d.document_id AND v.recipient_id = ANY ($2::text::bigint[])));

-- name: document_row
-- Everything the record says of one document; agencies by their numbers.
SELECT d.document_id, d.id, d.digest, d.action, d.priority, d.test, d.number, d.notation, d.issued_on, d.type, d.subject,
       d.sent_at, d.accepted_at, d.leaf, d.log_by, d.recipients, d.unresolved, d.warnings, d.held_at, d.via, d.thumbprint,
       d.sender_id, d.submitter_id, c.agency_id AS signer_id, c.custody, c.revoked_at,
       (SELECT count(*) FROM document_part p WHERE p.document_id = d.document_id) AS parts
FROM document d
JOIN certificate c ON c.thumbprint = d.thumbprint
WHERE d.document_id = $1;

-- name: deliveries
-- The document's deliveries, all or those to some agencies.
SELECT v.recipient_id, v.owner_id, v.addressed_as, v.processing, v.recalled, v.anomalous, v.due_arrival, v.overdue_at,
       v.dispatched_at, v.arrived_at, v.closed_at, v.sends, v.last_sent_at, v.moved_at, v.moved_to AS moved_to_id,
       v.stranded_at
FROM delivery v
WHERE v.document_id = $1 AND ($2::text IS NULL OR v.recipient_id = ANY ($2::text::bigint[]));

-- name: status_entries
-- Signed facts about the document's deliveries, all or those to some agencies, in the order of their signed times.
SELECT e.recipient_id, e.by_id, e.code, e.at, e.reason, e.anomalous, e.recorded_at, c.custody
FROM status_entry e
JOIN status_message m ON m.status_message_id = e.status_message_id
JOIN certificate c ON c.thumbprint = m.thumbprint
WHERE e.document_id = $1 AND ($2::text IS NULL OR e.recipient_id = ANY ($2::text::bigint[]))
ORDER BY e.at, e.digest, e.item, e.recipient_id;

-- name: change_requests
-- Recalls, updates, replacements and take-backs asked of the document's recipients, of all or of some agencies.
SELECT q.recipient_id, q.kind, q.state, q.asked_at, q.answered_at, q.overdue_at, d.id AS asking_id
FROM change_request q
LEFT JOIN document d ON d.document_id = q.asking_document_id
WHERE q.document_id = $1 AND ($2::text IS NULL OR q.recipient_id = ANY ($2::text::bigint[]))
ORDER BY q.asked_at, q.recipient_id;

-- name: asked_by
-- What this document asks of recipients of others, of all or of some agencies.
SELECT q.recipient_id, q.kind, q.state, q.asked_at, q.answered_at, q.overdue_at, NULL::uuid AS asking_id
FROM document_concerns c
JOIN change_request q ON q.document_id = c.concerned_id AND q.asking_document_id = c.document_id
WHERE c.document_id = $1 AND ($2::text IS NULL OR q.recipient_id = ANY ($2::text::bigint[]))
ORDER BY q.asked_at, q.recipient_id;

-- name: agencies
-- What a story tells of agencies.
SELECT a.agency_id, a.code, a.name, a.level FROM agency a WHERE a.agency_id = ANY ($1::text::bigint[]);

-- name: agencies_coded
-- Every agency that has this code.
SELECT a.agency_id FROM agency a WHERE a.code = $1;

-- name: unpublished
-- What was decided but has not left yet because of this document.
SELECT o.outgoing_id, o.attempt, o.created_at, cardinality(o.owner_ids) AS mailboxes
FROM outgoing o
WHERE o.document_id = $1 AND o.published_at IS NULL;

-- name: rejections_of
-- Refusals of messages that claimed this id.
SELECT at, amqp_user, kind, claimed_from, id, encode(digest, 'hex') AS digest, code, detail, quarantined
FROM rejection
WHERE id = $1 AND ($2::text IS NULL OR claimed_from = $2)
  AND ($3::text IS NULL OR amqp_user IN (SELECT a.code FROM agency a WHERE a.agency_id = ANY ($3::text::bigint[])))
ORDER BY at;

-- name: search_rejections
-- Refused messages by period, claimed sender and code.
SELECT rejection_id, at, amqp_user, kind, claimed_from, id, encode(digest, 'hex') AS digest, code, detail, quarantined
FROM rejection
WHERE ($1::text IS NULL OR claimed_from = $1)
  AND ($2::timestamptz IS NULL OR at >= $2)
  AND ($3::timestamptz IS NULL OR at < $3)
  AND ($4::text IS NULL OR code = $4)
  AND ($6::text IS NULL OR amqp_user IN (SELECT a.code FROM agency a WHERE a.agency_id = ANY ($6::text::bigint[])))
  AND ($7::timestamptz IS NULL OR (at, rejection_id) < ($7, $8::bigint))
ORDER BY at DESC, rejection_id DESC
LIMIT $5;
