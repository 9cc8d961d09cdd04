-- name: missing
-- Deliveries of a document without the recipient's signed 01, within a scope, by code.
SELECT d.document_id, d.id, s.code AS sender, s.name AS sender_name, d.number, d.notation, d.subject, d.priority,
       d.accepted_at, d.test, v.recipient_id, r.code AS recipient, r.name AS recipient_name, r.level, o.code AS owner,
       CASE WHEN v.recalled THEN 'recalled' WHEN v.moved_at IS NOT NULL AND v.arrived_at IS NULL THEN 'moved'
            ELSE v.processing END AS state,
       v.due_arrival, v.overdue_at, v.dispatched_at, v.arrived_at, (SELECT e.reason FROM status_entry e
         WHERE e.document_id = v.document_id AND e.recipient_id = v.recipient_id AND e.code = '02'
         ORDER BY e.at, e.digest LIMIT 1) AS reason
FROM delivery v
JOIN document d ON d.document_id = v.document_id
JOIN agency s ON s.agency_id = d.sender_id
JOIN agency r ON r.agency_id = v.recipient_id
JOIN agency o ON o.agency_id = v.owner_id
WHERE v.document_id = $1 AND v.arrived_at IS NULL
  AND ($2::text IS NULL OR r.level = $2)
  AND ($3::bigint[] IS NULL OR v.recipient_id = ANY ($3))
  AND ($4::bigint[] IS NULL OR d.sender_id = ANY ($4) OR v.recipient_id = ANY ($4))
ORDER BY r.code, v.recipient_id;

-- name: asked_about
-- How many deliveries of a document are of that level, below that agency, within a scope.
SELECT count(*)
FROM delivery v
JOIN document d ON d.document_id = v.document_id
JOIN agency r ON r.agency_id = v.recipient_id
WHERE v.document_id = $1
  AND ($2::text IS NULL OR r.level = $2)
  AND ($3::bigint[] IS NULL OR v.recipient_id = ANY ($3))
  AND ($4::bigint[] IS NULL OR d.sender_id = ANY ($4) OR v.recipient_id = ANY ($4));

-- name: agency
-- One agency, if the scope may see it.
SELECT a.agency_id, a.code, a.name, a.level, a.state FROM agency a
WHERE a.agency_id = $1 AND ($2::bigint[] IS NULL OR a.agency_id = ANY ($2));

-- name: sent_on
-- What an agency sent in a period, oldest first.
SELECT d.document_id, d.id, s.code AS sender, s.name AS sender_name, d.number, d.notation, d.issued_on, d.type, d.subject,
       d.action, d.priority, d.accepted_at, d.recipients, d.test
FROM document d
JOIN agency s ON s.agency_id = d.sender_id
WHERE d.sender_id = $1 AND d.accepted_at >= $2 AND d.accepted_at < $3
ORDER BY d.accepted_at, d.document_id
LIMIT $4;

-- name: received_on
-- Deliveries to an agency of documents accepted in a period, oldest first.
SELECT d.document_id, d.id, s.code AS sender, s.name AS sender_name, d.number, d.notation, d.subject, d.priority,
       d.accepted_at, d.test, v.recipient_id, r.code AS recipient, r.name AS recipient_name, r.level, o.code AS owner,
       CASE WHEN v.recalled THEN 'recalled' WHEN v.moved_at IS NOT NULL AND v.arrived_at IS NULL THEN 'moved'
            ELSE v.processing END AS state,
       v.due_arrival, v.overdue_at, v.dispatched_at, v.arrived_at, (SELECT e.reason FROM status_entry e
         WHERE e.document_id = v.document_id AND e.recipient_id = v.recipient_id AND e.code = '02'
         ORDER BY e.at, e.digest LIMIT 1) AS reason
FROM delivery v
JOIN document d ON d.document_id = v.document_id
JOIN agency s ON s.agency_id = d.sender_id
JOIN agency r ON r.agency_id = v.recipient_id
JOIN agency o ON o.agency_id = v.owner_id
WHERE v.recipient_id = $1 AND d.accepted_at >= $2 AND d.accepted_at < $3
ORDER BY d.accepted_at, d.document_id
LIMIT $4;

-- name: reported_on
-- Signed statuses about deliveries to an agency that were recorded in a period, oldest first.
SELECT e.at, e.code, b.code AS by, d.document_id, d.id, s.code AS sender, r.code AS recipient, d.number, d.notation,
       e.reason, e.anomalous
FROM status_entry e
JOIN document d ON d.document_id = e.document_id
JOIN agency s ON s.agency_id = d.sender_id
JOIN agency r ON r.agency_id = e.recipient_id
JOIN agency b ON b.agency_id = e.by_id
WHERE e.recipient_id = $1 AND e.recorded_at >= $2 AND e.recorded_at < $3
ORDER BY e.recorded_at, e.document_id, e.item
LIMIT $4;

-- name: troubled
-- Those deliveries of documents that are overdue or refused, in the documents' order, within a scope.
SELECT d.document_id, d.id, s.code AS sender, s.name AS sender_name, d.number, d.notation, d.subject, d.priority,
       d.accepted_at, d.test, v.recipient_id, r.code AS recipient, r.name AS recipient_name, r.level, o.code AS owner,
       CASE WHEN v.recalled THEN 'recalled' WHEN v.moved_at IS NOT NULL AND v.arrived_at IS NULL THEN 'moved'
            ELSE v.processing END AS state,
       v.due_arrival, v.overdue_at, v.dispatched_at, v.arrived_at, CASE WHEN $5::text = 'refused' THEN (SELECT e.reason FROM status_entry e
         WHERE e.document_id = v.document_id AND e.recipient_id = v.recipient_id AND e.code = '02'
         ORDER BY e.at, e.digest LIMIT 1) END AS reason
FROM unnest($1::bigint[]) WITH ORDINALITY AS k (document_id, place)
JOIN document d ON d.document_id = k.document_id
JOIN agency s ON s.agency_id = d.sender_id
JOIN delivery v ON v.document_id = d.document_id
JOIN agency r ON r.agency_id = v.recipient_id
JOIN agency o ON o.agency_id = v.owner_id
WHERE CASE $5::text WHEN 'overdue' THEN v.overdue_at IS NOT NULL AND v.arrived_at IS NULL AND v.closed_at IS NULL
                    WHEN 'refused' THEN v.processing = 'refused' AND NOT v.recalled END
  AND ($2::bigint[] IS NULL OR v.recipient_id = ANY ($2))
  AND ($3::text IS NULL OR r.level = $3)
  AND ($4::bigint[] IS NULL OR d.sender_id = ANY ($4) OR v.recipient_id = ANY ($4))
  AND ($7::bigint IS NULL OR v.document_id <> $7 OR v.recipient_id < $8::bigint)
ORDER BY k.place, v.recipient_id DESC
LIMIT $6;

-- name: of_level
-- Agencies of a level, among some if these are given.
SELECT a.agency_id FROM agency a WHERE a.level = $1 AND ($2::bigint[] IS NULL OR a.agency_id = ANY ($2));
