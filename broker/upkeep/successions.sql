-- Deliveries without 01 to agencies that have closed. Rules: broker/upkeep/successions.py.

-- name: open_at
-- Open deliveries without 01 to these agencies, a page of them by agency and document; what an operator holds stays with
-- the operator. With $4 only those whose sender has not been told that they cannot be moved.
SELECT d.document_id, d.recipient_id
  FROM delivery d JOIN document h ON h.document_id = d.document_id
 WHERE d.recipient_id = ANY($1::bigint[])
   AND d.arrived_at IS NULL AND d.closed_at IS NULL AND NOT d.recalled
   AND d.processing IN ('accepted', 'dispatched')
   AND h.held_at IS NULL
   AND (d.recipient_id, d.document_id) > ($2::bigint, $3::bigint)
   AND (NOT $4::boolean OR d.stranded_at IS NULL)
 ORDER BY d.recipient_id, d.document_id
 LIMIT $5;

-- name: lock_open
-- Those of the named deliveries that are still open and without 01, locked with their documents; what somebody else
-- holds is passed over, and comes round again.
SELECT d.document_id, d.recipient_id, d.owner_id, d.addressed_as, d.due_arrival, h.sender_id, h.id, h.digest, h.priority, h.action,
       a.code AS sender
  FROM unnest($1::bigint[], $2::bigint[]) AS w(document_id, recipient_id)
  JOIN delivery d USING (document_id, recipient_id)
  JOIN document h ON h.document_id = d.document_id
  JOIN agency a ON a.agency_id = h.sender_id
 WHERE d.arrived_at IS NULL AND d.closed_at IS NULL AND NOT d.recalled
   AND d.processing IN ('accepted', 'dispatched')
   AND h.held_at IS NULL
 ORDER BY d.document_id, d.recipient_id
   FOR NO KEY UPDATE OF d, h SKIP LOCKED;

-- name: insert_deliveries
-- A delivery for each successor; none where it has the document already.
INSERT INTO delivery (document_id, recipient_id, owner_id, addressed_as, due_arrival)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::timestamptz[])
ON CONFLICT (document_id, recipient_id) DO NOTHING
RETURNING document_id, recipient_id;

-- name: count_recipients
-- Documents that got further recipients.
UPDATE document d SET recipients = (SELECT count(*) FROM delivery v WHERE v.document_id = d.document_id)
 WHERE d.document_id = ANY ($1::bigint[]);

-- name: close_moved
-- The old deliveries end here, and say where their documents went.
UPDATE delivery d SET moved_at = $4, moved_to = w.new_id, closed_at = $4
  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS w(document_id, recipient_id, new_id)
 WHERE d.document_id = w.document_id AND d.recipient_id = w.recipient_id;

-- name: note_told
-- The senders of these have been told that nobody takes the recipient's place.
UPDATE delivery d SET stranded_at = $3
  FROM unnest($1::bigint[], $2::bigint[]) AS w(document_id, recipient_id)
 WHERE d.document_id = w.document_id AND d.recipient_id = w.recipient_id;

-- name: ask_successors
-- What the old recipient was asked and has not answered is asked of the successor; the take-backs among it, which no
-- document carries, have to be sent to it.
WITH asked AS (
    INSERT INTO change_request (document_id, recipient_id, asked_by, kind, asking_document_id, asking_status_id, asked_at)
    SELECT q.document_id, w.new_id, q.asked_by, q.kind, q.asking_document_id, q.asking_status_id, q.asked_at
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS w(document_id, recipient_id, new_id)
      JOIN change_request q USING (document_id, recipient_id)
     WHERE q.state = 'asked'
    ON CONFLICT DO NOTHING
    RETURNING recipient_id, asking_status_id
)
SELECT DISTINCT asking_status_id, recipient_id FROM asked WHERE asking_status_id IS NOT NULL
 ORDER BY asking_status_id, recipient_id;

-- name: send_statuses
-- Status messages leave for further mailboxes, as they were signed.
INSERT INTO outgoing (kind, status_message_id, owner_ids)
SELECT 'status', w.status_message_id, ARRAY[w.owner_id]
  FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS w(status_message_id, owner_id, ordinal)
 ORDER BY w.ordinal
RETURNING outgoing_id;

-- name: waiting_for_documents
-- Those of these deliveries of changes that may not go before the document that they change (contract 3.3).
SELECT w.document_id, w.recipient_id
  FROM unnest($1::bigint[], $2::bigint[]) AS w(document_id, recipient_id)
 WHERE EXISTS (SELECT FROM document_concerns c JOIN delivery e ON e.document_id = c.concerned_id
                WHERE c.document_id = w.document_id AND e.recipient_id = w.recipient_id
                  AND e.dispatched_at IS NULL AND NOT e.recalled AND e.moved_at IS NULL);
