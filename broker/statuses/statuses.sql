-- Status messages: what is known of the documents they mention, and what they change. Everything is one statement for
-- a whole batch, and every lock is taken in the order of (document, recipient). Lookups join through LATERAL … OFFSET 0:
-- one index probe for each key, whatever the planner believes about a table that was empty when it made its plan.

-- name: earlier_messages
-- Messages already recorded under these senders and ids, with the digest that was accepted.
SELECT m.status_message_id, m.sender_id, m.id, m.digest
  FROM unnest($1::bigint[], $2::uuid[]) AS w(sender_id, id)
 CROSS JOIN LATERAL (
    SELECT * FROM status_message WHERE sender_id = w.sender_id AND id = w.id OFFSET 0) AS m;

-- name: documents
-- Accepted documents by the code of their sender and their id.
SELECT w.code, w.id, d.document_id, d.sender_id, d.digest
  FROM unnest($1::text[], $2::uuid[]) AS w(code, id)
 CROSS JOIN LATERAL (SELECT agency_id FROM agency WHERE code = w.code OFFSET 0) AS a
 CROSS JOIN LATERAL (SELECT * FROM document WHERE sender_id = a.agency_id AND id = w.id OFFSET 0) AS d;

-- name: places
-- The deliveries of documents to recipients with these codes.
SELECT d.document_id, d.recipient_id, w.code AS recipient_code
  FROM unnest($1::bigint[], $2::text[]) AS w(document_id, code)
 CROSS JOIN LATERAL (SELECT agency_id FROM agency WHERE code = w.code OFFSET 0) AS a
 CROSS JOIN LATERAL (
    SELECT document_id, recipient_id FROM delivery
     WHERE document_id = w.document_id AND recipient_id = a.agency_id OFFSET 0) AS d;

-- name: lock_deliveries
-- These deliveries, locked one after the other in a fixed order until the transaction ends.
SELECT d.document_id, d.recipient_id, d.owner_id, d.processing, d.recalled, d.anomalous,
       d.dispatched_at IS NOT NULL AS dispatched, d.dispatched_at IS NULL AND h.held_at IS NOT NULL AS kept_back,
       d.arrived_at, d.closed_at, d.moved_at
  FROM (SELECT document_id, recipient_id
          FROM unnest($1::bigint[], $2::bigint[]) AS k(document_id, recipient_id)
         ORDER BY document_id, recipient_id OFFSET 0) AS w
 CROSS JOIN LATERAL (
    SELECT * FROM delivery WHERE document_id = w.document_id AND recipient_id = w.recipient_id
    OFFSET 0 FOR NO KEY UPDATE) AS d
 CROSS JOIN LATERAL (SELECT held_at FROM document WHERE document_id = w.document_id OFFSET 0) AS h;

-- name: changes
-- Every change that was asked of these deliveries, with the reference of the asking message.
SELECT c.document_id, c.recipient_id, c.asked_by, c.kind, c.state, c.answered_at,
       a.code AS sender_code, coalesce(ad.id, m.id) AS message_id
  FROM unnest($1::bigint[], $2::bigint[]) AS w(document_id, recipient_id)
 CROSS JOIN LATERAL (
    SELECT * FROM change_request WHERE document_id = w.document_id AND recipient_id = w.recipient_id OFFSET 0) AS c
  LEFT JOIN document ad ON ad.document_id = c.asking_document_id
  LEFT JOIN status_message m ON m.status_message_id = c.asking_status_id
  JOIN agency a ON a.agency_id = coalesce(ad.sender_id, m.sender_id)
 ORDER BY c.document_id, c.recipient_id, c.asked_at, c.asked_by;

-- name: recorded
-- Every status recorded of these deliveries so far.
SELECT e.document_id, e.recipient_id, e.code, e.at, e.by_id, e.digest, e.answers, e.anomalous, e.status_message_id,
       e.item
  FROM unnest($1::bigint[], $2::bigint[]) AS w(document_id, recipient_id)
 CROSS JOIN LATERAL (
    SELECT * FROM status_entry WHERE document_id = w.document_id AND recipient_id = w.recipient_id OFFSET 0) AS e;

-- name: insert_messages
-- Record status messages; a row for each that is new under its sender and id.
INSERT INTO status_message (sender_id, id, digest, jws, thumbprint, concerns_sender_id, sent_at, accepted_at, leaf,
                            log_by, refused_items)
SELECT w.sender_id, w.id, w.digest, w.jws, w.thumbprint, w.concerns_sender_id, w.sent_at, $10, w.leaf, $11,
       w.refused::jsonb
  FROM unnest($1::bigint[], $2::uuid[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[], $7::timestamptz[],
              $8::bytea[], $9::text[])
       AS w(sender_id, id, digest, jws, thumbprint, concerns_sender_id, sent_at, leaf, refused)
ON CONFLICT (sender_id, id) DO NOTHING
RETURNING status_message_id, sender_id, id;

-- name: insert_entries
-- Record statuses; one that says what was said before by the same agency is recorded once.
INSERT INTO status_entry (document_id, recipient_id, status_message_id, item, by_id, code, at, digest, reason, staff,
                          answers, anomalous, recorded_at)
SELECT w.document_id, w.recipient_id, w.status_message_id, w.item, w.by_id, w.code, w.at, w.digest, w.reason, w.staff::jsonb,
       w.answers, w.anomalous, $13
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[], $6::text[], $7::timestamptz[],
              $8::bytea[], $9::text[], $10::text[], $11::bytea[], $12::boolean[])
       AS w(document_id, recipient_id, status_message_id, item, by_id, code, at, digest, reason, staff, answers,
            anomalous)
ON CONFLICT DO NOTHING;

-- name: mark_anomalous
-- Say of entries recorded earlier whether they contradict the others, now that more is known.
UPDATE status_entry e
   SET anomalous = w.anomalous
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::boolean[])
       AS w(document_id, recipient_id, status_message_id, item, anomalous)
 WHERE (e.document_id, e.recipient_id, e.status_message_id, e.item)
     = (w.document_id, w.recipient_id, w.status_message_id, w.item);

-- name: update_deliveries
-- Write what the whole history of each delivery says.
UPDATE delivery d
   SET processing = w.processing, recalled = w.recalled, anomalous = w.anomalous, arrived_at = w.arrived_at,
       closed_at = w.closed_at
  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::boolean[], $5::boolean[], $6::timestamptz[],
              $7::timestamptz[])
       AS w(document_id, recipient_id, processing, recalled, anomalous, arrived_at, closed_at)
 WHERE d.document_id = w.document_id AND d.recipient_id = w.recipient_id;

-- name: insert_take_backs
-- One row of the change axis for each recipient that a 13 asks.
INSERT INTO change_request (document_id, recipient_id, asked_by, kind, asking_status_id, state, asked_at, answered_at)
SELECT w.document_id, w.recipient_id, w.asked_by, 'take-back', w.status_message_id, w.state, $7, w.answered_at
  FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::text[], $6::timestamptz[])
       AS w(document_id, recipient_id, asked_by, status_message_id, state, answered_at)
ON CONFLICT DO NOTHING;

-- name: update_changes
-- Write how far each asking message has come.
UPDATE change_request c
   SET state = w.state, answered_at = w.answered_at
  FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::timestamptz[])
       AS w(document_id, recipient_id, asked_by, state, answered_at)
 WHERE (c.document_id, c.recipient_id, c.asked_by) = (w.document_id, w.recipient_id, w.asked_by)
   AND (c.state, c.answered_at) IS DISTINCT FROM (w.state, w.answered_at);

-- name: insert_request
-- Record a request once; no row if this sender has used the id before.
INSERT INTO request_message (sender_id, id, digest, request, since, received_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (sender_id, id) DO NOTHING
RETURNING id;

-- name: earlier_requests
-- Requests already recorded under these senders and ids.
SELECT r.sender_id, r.id, r.digest
  FROM unnest($1::bigint[], $2::uuid[]) AS w(sender_id, id)
 CROSS JOIN LATERAL (
    SELECT * FROM request_message WHERE sender_id = w.sender_id AND id = w.id OFFSET 0) AS r;

-- name: insert_forwards
-- Status messages that must leave as they were signed, each for up to 500 mailboxes.
INSERT INTO outgoing (kind, status_message_id, owner_ids, created_at)
SELECT 'status', w.status_message_id, w.owners::bigint[], $3
  FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS w(status_message_id, owners, ordinal)
 ORDER BY w.ordinal
RETURNING outgoing_id;

-- name: unpublished
-- What must still leave because of these status messages, decided before a moment, or for some of them at any time.
SELECT outgoing_id FROM outgoing
 WHERE status_message_id = ANY($1::bigint[]) AND published_at IS NULL
   AND (created_at <= $2 OR status_message_id = ANY($3::bigint[]))
 ORDER BY outgoing_id;
