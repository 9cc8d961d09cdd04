-- Changes that were asked of recipients and have no answer.

-- name: due
-- Asked before a moment and not called overdue yet, a page of them, the oldest first; only where the document has come.
SELECT q.document_id, q.recipient_id, q.asked_by, q.asked_at
  FROM change_request q JOIN delivery d USING (document_id, recipient_id)
 WHERE q.state = 'asked' AND q.overdue_at IS NULL AND q.asked_at <= $1
   AND (q.asked_at, q.document_id, q.recipient_id) > ($2::timestamptz, $3::bigint, $4::bigint)
   AND d.arrived_at IS NOT NULL
 ORDER BY q.asked_at, q.document_id, q.recipient_id
 LIMIT $5;

-- name: call_overdue
-- Flag those that still have no answer; rows that somebody else holds are passed over.
WITH still AS (
    SELECT q.document_id, q.recipient_id, q.asked_by
      FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS w(document_id, recipient_id, asked_by)
      JOIN change_request q USING (document_id, recipient_id, asked_by)
     WHERE q.state = 'asked' AND q.overdue_at IS NULL
     ORDER BY q.document_id, q.recipient_id, q.asked_by
       FOR NO KEY UPDATE OF q SKIP LOCKED
)
UPDATE change_request q SET overdue_at = $4
  FROM still s, delivery d
 WHERE q.document_id = s.document_id AND q.recipient_id = s.recipient_id AND q.asked_by = s.asked_by
   AND d.document_id = s.document_id AND d.recipient_id = s.recipient_id
RETURNING q.document_id, q.recipient_id, q.asked_by, q.asked_at, q.asking_document_id, q.asking_status_id,
          d.owner_id, d.addressed_as;

-- name: documents
-- The documents that are to be changed, as events name them.
SELECT h.document_id, h.id, h.digest, a.code AS sender
  FROM document h JOIN agency a ON a.agency_id = h.sender_id
 WHERE h.document_id = ANY ($1::bigint[]);

-- name: asking
-- The messages that ask, documents and statuses, and who sent them.
SELECT h.digest, h.id, h.sender_id, a.code AS sender
  FROM document h JOIN agency a ON a.agency_id = h.sender_id WHERE h.document_id = ANY ($1::bigint[])
UNION ALL
SELECT m.digest, m.id, m.sender_id, a.code
  FROM status_message m JOIN agency a ON a.agency_id = m.sender_id WHERE m.status_message_id = ANY ($2::bigint[]);
