-- What agencies have asked to get once more.

-- name: pending
-- Replays to be done, one for each mailbox: several requests are answered together, from the earliest moment asked for.
-- A mailbox that is just being filled again has its turn afterwards.
SELECT r.sender_id AS owner_id, min(r.since) AS since, max(r.received_at) AS asked_at, array_agg(r.id) AS ids
  FROM request_message r
 WHERE r.done_at IS NULL AND r.request = 'replay'
   AND NOT EXISTS (SELECT FROM mailbox m WHERE m.owner_id = r.sender_id AND m.reset_at IS NOT NULL)
 GROUP BY r.sender_id
 ORDER BY min(r.received_at);

-- name: documents
-- Open deliveries of a mailbox that were handed over between two moments; a page of them, oldest document first.
SELECT d.document_id, d.recipient_id, d.owner_id, d.addressed_as, d.sends
  FROM delivery d
 WHERE d.owner_id = $1
   AND d.arrived_at IS NULL AND d.closed_at IS NULL
   AND d.sends > 0 AND d.last_sent_at >= $2 AND d.last_sent_at < $3
   AND (d.document_id, d.recipient_id) > ($4::bigint, $5::bigint)
 ORDER BY d.document_id, d.recipient_id
 LIMIT $6;

-- name: messages
-- Statuses and notices that went to a mailbox between two moments; a page of them, oldest first.
SELECT outgoing_id FROM (
    SELECT o.outgoing_id FROM outgoing o
     WHERE o.kind <> 'document' AND o.owner_ids[1] = $1
       AND o.created_at >= $2::timestamptz - $6::interval AND o.created_at < $3
       AND o.published_at >= $2 AND o.outgoing_id > $4
    UNION
    SELECT o.outgoing_id FROM outgoing o
     WHERE o.kind = 'status' AND cardinality(o.owner_ids) > 1 AND o.owner_ids @> ARRAY[$1::bigint]
       AND o.created_at >= $2::timestamptz - $6::interval AND o.created_at < $3
       AND o.published_at >= $2 AND o.outgoing_id > $4
) AS gone
 ORDER BY outgoing_id
 LIMIT $5;

-- name: done
-- These requests have been answered.
UPDATE request_message SET done_at = clock_timestamp()
 WHERE sender_id = $1 AND id = ANY($2::uuid[]) AND done_at IS NULL;
