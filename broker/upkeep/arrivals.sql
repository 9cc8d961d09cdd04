-- Deliveries whose deadline has passed without 01.

-- name: due
-- Deliveries not called overdue yet, a page of them, the longest overdue first; held documents are nobody's fault.
SELECT d.document_id, d.recipient_id, d.owner_id, d.due_arrival, d.sends, d.last_sent_at
  FROM delivery d JOIN document h ON h.document_id = d.document_id
 WHERE d.arrived_at IS NULL AND d.closed_at IS NULL AND d.overdue_at IS NULL
   AND d.due_arrival <= $1
   AND (d.due_arrival, d.document_id, d.recipient_id) > ($2::timestamptz, $3::bigint, $4::bigint)
   AND h.held_at IS NULL
 ORDER BY d.due_arrival, d.document_id, d.recipient_id
 LIMIT $5;

-- name: call_overdue
-- Flag those of the named deliveries that are still without 01; rows that somebody else holds are passed over.
WITH still AS (
    SELECT d.document_id, d.recipient_id
      FROM unnest($1::bigint[], $2::bigint[]) AS w(document_id, recipient_id)
      JOIN delivery d USING (document_id, recipient_id)
     WHERE d.arrived_at IS NULL AND d.closed_at IS NULL AND d.overdue_at IS NULL
     ORDER BY d.document_id, d.recipient_id
       FOR NO KEY UPDATE OF d SKIP LOCKED
)
UPDATE delivery d SET overdue_at = $3
  FROM still
 WHERE d.document_id = still.document_id AND d.recipient_id = still.recipient_id
RETURNING d.document_id, d.recipient_id, d.owner_id, d.addressed_as, d.due_arrival;

-- name: senders
-- Documents as notices and events name them.
SELECT h.document_id, h.id, h.digest, h.sender_id, a.code AS sender
  FROM document h JOIN agency a ON a.agency_id = h.sender_id
 WHERE h.document_id = ANY($1::bigint[]);
