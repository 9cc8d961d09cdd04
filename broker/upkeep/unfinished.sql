-- What was decided and has not left.

-- name: older_than
-- Unpublished rows decided before a moment, a page of them, oldest first; held documents stay where they are.
SELECT o.outgoing_id, o.created_at
  FROM outgoing o LEFT JOIN document d ON d.document_id = o.document_id
 WHERE o.published_at IS NULL AND o.created_at <= $1
   AND (o.created_at, o.outgoing_id) > ($2::timestamptz, $3::bigint)
   AND d.held_at IS NULL
 ORDER BY o.created_at, o.outgoing_id
 LIMIT $4;
