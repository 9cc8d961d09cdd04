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
-- Documents with this number and notation, newest first.
SELECT d.document_id, d.id, a.code AS sender, d.digest
FROM document d JOIN agency a ON a.agency_id = d.sender_id
WHERE d.number = $1 AND d.notation = $2 AND ($3::text IS NULL OR a.code = $3)
ORDER BY d.accepted_at DESC
LIMIT 20;

-- name: document_row
-- Everything the record says of one document.
SELECT d.document_id, d.id, d.digest, d.action, d.priority, d.test, d.number, d.notation, d.issued_on, d.type, d.subject,
       d.sent_at, d.accepted_at, d.leaf, d.log_by, d.recipients, d.unresolved, d.warnings, d.held_at, d.via, d.thumbprint,
       s.code AS sender, s.name AS sender_name, u.code AS submitter, u.name AS submitter_name,
       o.code AS signer, c.custody, c.revoked_at,
       (SELECT count(*) FROM document_part p WHERE p.document_id = d.document_id) AS parts
FROM document d
JOIN agency s ON s.agency_id = d.sender_id
JOIN agency u ON u.agency_id = d.submitter_id
JOIN certificate c ON c.thumbprint = d.thumbprint
JOIN agency o ON o.agency_id = c.agency_id
WHERE d.document_id = $1;

-- name: deliveries
-- The document's deliveries, all or those to one agency.
SELECT r.code AS recipient, r.name AS recipient_name, r.level, o.code AS owner, o.name AS owner_name, v.addressed_as,
       v.processing, v.recalled, v.anomalous, v.due_arrival, v.overdue_at, v.dispatched_at, v.arrived_at, v.closed_at,
       v.sends, v.last_sent_at
FROM delivery v
JOIN agency r ON r.agency_id = v.recipient_id
JOIN agency o ON o.agency_id = v.owner_id
WHERE v.document_id = $1 AND ($2::text IS NULL OR r.code = $2)
ORDER BY r.code;

-- name: status_entries
-- Signed facts about the document's deliveries, in the order of their signed times.
SELECT r.code AS recipient, b.code AS by, e.code, e.at, e.reason, e.anomalous, e.recorded_at, c.custody
FROM status_entry e
JOIN agency r ON r.agency_id = e.recipient_id
JOIN agency b ON b.agency_id = e.by_id
JOIN status_message m ON m.status_message_id = e.status_message_id
JOIN certificate c ON c.thumbprint = m.thumbprint
WHERE e.document_id = $1 AND ($2::text IS NULL OR r.code = $2)
ORDER BY e.at, e.digest, e.item, r.code;

-- name: change_requests
-- Recalls, updates, replacements and take-backs asked of the document's recipients.
SELECT r.code AS recipient, q.kind, q.state, q.asked_at, q.answered_at, q.overdue_at, d.id AS asking_id
FROM change_request q
JOIN agency r ON r.agency_id = q.recipient_id
LEFT JOIN document d ON d.document_id = q.asking_document_id
WHERE q.document_id = $1 AND ($2::text IS NULL OR r.code = $2)
ORDER BY q.asked_at, r.code;

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
ORDER BY at;

-- name: search
-- Documents by what people remember of them; every argument but the limit may be null.
SELECT d.document_id, d.id, s.code AS sender, s.name AS sender_name, d.number, d.notation, d.issued_on, d.type, d.subject,
       d.action, d.priority, d.accepted_at, d.recipients, d.test
FROM document d
JOIN agency s ON s.agency_id = d.sender_id
WHERE ($1::text IS NULL OR d.number = $1)
  AND ($2::text IS NULL OR d.notation = $2)
  AND ($3::text IS NULL OR d.subject ILIKE $3)
  AND ($4::bigint[] IS NULL OR d.sender_id = ANY ($4))
  AND ($5::timestamptz IS NULL OR d.accepted_at >= $5)
  AND ($6::timestamptz IS NULL OR d.accepted_at < $6)
  AND (($7::bigint[] IS NULL AND $8::text IS NULL AND NOT $9::boolean) OR EXISTS (
        SELECT FROM delivery v
        WHERE v.document_id = d.document_id
          AND ($7::bigint[] IS NULL OR v.recipient_id = ANY ($7))
          AND ($8::text IS NULL OR (v.processing = $8 AND NOT v.recalled) OR ($8 = 'recalled' AND v.recalled))
          AND (NOT $9::boolean OR (v.overdue_at IS NOT NULL AND v.arrived_at IS NULL AND v.closed_at IS NULL))
          AND ($12::bigint[] IS NULL OR d.sender_id = ANY ($12) OR v.recipient_id = ANY ($12))))
  AND ($11::bigint[] IS NULL OR d.sender_id = ANY ($11) OR EXISTS (
        SELECT FROM delivery v
        WHERE v.document_id = d.document_id AND v.recipient_id = ANY ($11)
          AND ($12::bigint[] IS NULL OR d.sender_id = ANY ($12) OR v.recipient_id = ANY ($12))))
  AND ($12::bigint[] IS NULL OR d.sender_id = ANY ($12) OR EXISTS (
        SELECT FROM delivery v WHERE v.document_id = d.document_id AND v.recipient_id = ANY ($12)))
  AND ($13::timestamptz IS NULL OR (d.accepted_at, d.document_id) < ($13, $14::bigint))
ORDER BY d.accepted_at DESC, d.document_id DESC
LIMIT $10;

-- name: search_rejections
-- Refused messages by period, claimed sender and code.
SELECT rejection_id, at, amqp_user, kind, claimed_from, id, encode(digest, 'hex') AS digest, code, detail, quarantined
FROM rejection
WHERE ($1::text IS NULL OR claimed_from = $1)
  AND ($2::timestamptz IS NULL OR at >= $2)
  AND ($3::timestamptz IS NULL OR at < $3)
  AND ($4::text IS NULL OR code = $4)
  AND ($6::bigint[] IS NULL OR amqp_user IN (SELECT a.code FROM agency a WHERE a.agency_id = ANY ($6)))
  AND ($7::timestamptz IS NULL OR (at, rejection_id) < ($7, $8::bigint))
ORDER BY at DESC, rejection_id DESC
LIMIT $5;

-- name: report_sent
-- Documents accepted in a period, by a dimension of their sender or by their day; rehearsals are left out.
SELECT CASE $3::text
         WHEN 'tier' THEN coalesce(s.tier::text, '-') WHEN 'level' THEN s.level WHEN 'agency' THEN s.code
         WHEN 'day' THEN to_char(d.accepted_at AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY-MM-DD')
         WHEN 'month' THEN to_char(d.accepted_at AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY-MM') END AS key,
       max(s.name) AS title, count(*) AS sent
FROM document d JOIN agency s ON s.agency_id = d.sender_id
WHERE NOT d.test
  AND ($1::timestamptz IS NULL OR d.accepted_at >= $1)
  AND ($2::timestamptz IS NULL OR d.accepted_at < $2)
  AND ($4::bigint[] IS NULL OR d.sender_id = ANY ($4))
GROUP BY 1;

-- name: report_received
-- Deliveries of documents accepted in a period, by a dimension of the recipient or by day; rehearsals are left out.
SELECT CASE $3::text
         WHEN 'tier' THEN coalesce(r.tier::text, '-') WHEN 'level' THEN r.level WHEN 'agency' THEN r.code
         WHEN 'day' THEN to_char(d.accepted_at AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY-MM-DD')
         WHEN 'month' THEN to_char(d.accepted_at AT TIME ZONE 'Asia/Ho_Chi_Minh', 'YYYY-MM') END AS key,
       max(r.name) AS title,
       count(*) AS deliveries,
       count(v.arrived_at) AS received,
       count(*) FILTER (WHERE v.processing = 'refused' AND NOT v.recalled) AS refused,
       count(*) FILTER (WHERE v.processing = 'completed' AND NOT v.recalled) AS completed,
       count(*) FILTER (WHERE v.overdue_at IS NOT NULL AND v.arrived_at IS NULL AND v.closed_at IS NULL) AS overdue
FROM delivery v
JOIN document d ON d.document_id = v.document_id
JOIN agency r ON r.agency_id = v.recipient_id
WHERE NOT d.test
  AND ($1::timestamptz IS NULL OR d.accepted_at >= $1)
  AND ($2::timestamptz IS NULL OR d.accepted_at < $2)
  AND ($4::bigint[] IS NULL OR v.recipient_id = ANY ($4))
GROUP BY 1;
