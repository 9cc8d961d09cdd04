-- Deliveries without 01, and the rows that send their documents again.

-- name: of_mailboxes
-- Open deliveries of these mailboxes whose last copy was handed over before a moment, and whose deadline has passed
-- before another if one is given; a page of them, oldest document first. Those for which a copy is on its way out
-- already are left alone.
SELECT d.document_id, d.recipient_id, d.owner_id, d.addressed_as, d.sends, d.last_sent_at, d.due_arrival,
       d.overdue_at IS NOT NULL AS overdue
  FROM delivery d
 WHERE d.owner_id = ANY($1::bigint[])
   AND d.arrived_at IS NULL AND d.closed_at IS NULL
   AND d.sends > 0 AND d.last_sent_at < $2
   AND ($6::timestamptz IS NULL OR d.due_arrival <= $6)
   AND (d.document_id, d.recipient_id) > ($3::bigint, $4::bigint)
   AND NOT EXISTS (SELECT FROM outgoing o
                    WHERE o.document_id = d.document_id AND o.published_at IS NULL
                      AND d.owner_id = ANY(o.owner_ids))
 ORDER BY d.document_id, d.recipient_id
 LIMIT $5;

-- name: lock_still_open
-- Those of the named deliveries that are as they were read, locked; rows that somebody else holds are passed over.
SELECT d.document_id, d.recipient_id
  FROM unnest($1::bigint[], $2::bigint[], $3::smallint[]) AS w(document_id, recipient_id, sends)
  JOIN delivery d USING (document_id, recipient_id)
 WHERE d.arrived_at IS NULL AND d.closed_at IS NULL AND d.sends = w.sends
   AND d.processing NOT IN ('held', 'cancelled')
 ORDER BY d.document_id, d.recipient_id
   FOR NO KEY UPDATE OF d SKIP LOCKED;

-- name: insert_copies
-- One row for each further copy, in the order given.
INSERT INTO outgoing (kind, document_id, attempt, owner_ids, recipient_ids)
SELECT 'document', w.document_id, w.attempt, w.owners::bigint[], w.recipients::bigint[]
  FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[])
       WITH ORDINALITY AS w(document_id, attempt, owners, recipients, ordinal)
 ORDER BY w.ordinal
RETURNING outgoing_id;

-- name: generations
-- Which queue of its owner each mailbox is, counted from 1.
SELECT owner_id, generation FROM mailbox WHERE owner_id = ANY($1::bigint[]);
