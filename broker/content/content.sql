-- name: lock_bucket_shared
-- Nobody removes content of this bucket until the transaction ends.
SELECT pg_advisory_xact_lock_shared($1, $2);

-- name: try_bucket
-- Take a bucket for removing, if nobody is making content of it visible just now; held by the session.
SELECT pg_try_advisory_lock($1, $2);

-- name: release_bucket
-- Give the bucket back.
SELECT pg_advisory_unlock($1, $2);

-- name: lock_quota
-- One upload of an agency at a time is counted.
SELECT pg_advisory_xact_lock($1, $2);

-- name: waiting_bytes
-- What an agency has stored and not yet sent, this digest left out.
SELECT coalesce(sum(c.size), 0)::bigint
FROM content_upload u JOIN content c ON c.digest = u.digest
WHERE u.agency_id = $1 AND u.accepted_at IS NULL AND u.digest <> $2;

-- name: is_kept
-- Whether the record has this content.
SELECT EXISTS (SELECT FROM content WHERE digest = $1);

-- name: insert_content
-- Record content whose bytes are visible at their place.
INSERT INTO content (digest, size, place, stored_at) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING;

-- name: insert_upload
-- An agency has stored these bytes; true if it had not done so before.
INSERT INTO content_upload (agency_id, digest, stored_at) VALUES ($1, $2, $3)
ON CONFLICT (agency_id, digest) DO UPDATE SET stored_at = excluded.stored_at
RETURNING xmax = 0 AS is_new;

-- name: readable
-- Content as far as an agency may read it: it stored it, or sent or received a document that names it (contract §6).
-- What is held, cancelled or recalled before it went out was not received.
SELECT c.size, c.inline
FROM content c
WHERE c.digest = $1 AND (
    EXISTS (SELECT FROM content_upload u WHERE u.agency_id = $2 AND u.digest = c.digest)
    OR EXISTS (
        SELECT FROM document_part p JOIN document d ON d.document_id = p.document_id
        WHERE p.digest = c.digest AND d.sender_id = $2
    )
    OR EXISTS (
        SELECT FROM document_part p JOIN delivery v ON v.document_id = p.document_id
        WHERE p.digest = c.digest AND v.recipient_id = $2
          AND (v.dispatched_at IS NOT NULL OR NOT (v.recalled OR v.processing IN ('held', 'cancelled')))
    )
    OR EXISTS (
        SELECT FROM document_part p JOIN delivery v ON v.document_id = p.document_id
        WHERE p.digest = c.digest AND v.owner_id = $2
          AND (v.dispatched_at IS NOT NULL OR NOT (v.recalled OR v.processing IN ('held', 'cancelled')))
    )
);

-- name: hold
-- What of this content is recorded; it cannot be removed until the transaction ends.
SELECT digest FROM content WHERE digest = ANY ($1::bytea[]) ORDER BY digest FOR KEY SHARE;

-- name: count_as_accepted
-- Documents of these agencies name this content now, so that it does not count as waiting any more.
WITH named AS (
    SELECT u.agency_id, u.digest
    FROM unnest($1::bigint[], $2::bytea[]) AS k (agency_id, digest)
    JOIN content_upload u ON u.agency_id = k.agency_id AND u.digest = k.digest
    WHERE u.accepted_at IS NULL
    ORDER BY u.agency_id, u.digest
    FOR UPDATE OF u
)
UPDATE content_upload u SET accepted_at = $3
FROM named WHERE u.agency_id = named.agency_id AND u.digest = named.digest;

-- name: collectable
-- Content of a bucket that was stored long ago and may have nobody left who names or waits to name it.
SELECT c.digest FROM content c
WHERE c.digest >= $1 AND c.digest <= $2 AND c.stored_at < $3
  AND NOT EXISTS (SELECT FROM document_part p WHERE p.digest = c.digest)
  AND NOT EXISTS (SELECT FROM content_upload u WHERE u.digest = c.digest AND u.stored_at >= $3)
ORDER BY c.digest LIMIT $4;

-- name: lock_content
-- Of this content, what nobody is naming at this moment; from here on nobody can.
SELECT digest FROM content WHERE digest = ANY ($1::bytea[]) ORDER BY digest FOR UPDATE SKIP LOCKED;

-- name: forget_uploads
-- Uploads of locked content that is still unused.
DELETE FROM content_upload u
WHERE u.digest = ANY ($1::bytea[]) AND u.stored_at < $2
  AND NOT EXISTS (SELECT FROM document_part p WHERE p.digest = u.digest);

-- name: forget_content
-- Remove the record of locked content that is still unused; what comes back may be removed from its place.
DELETE FROM content c
WHERE c.digest = ANY ($1::bytea[])
  AND NOT EXISTS (SELECT FROM document_part p WHERE p.digest = c.digest)
  AND NOT EXISTS (SELECT FROM content_upload u WHERE u.digest = c.digest)
RETURNING c.digest;

-- name: unrecorded
-- Of these digests, those that the record does not know.
SELECT k.digest FROM unnest($1::bytea[]) AS k (digest)
WHERE NOT EXISTS (SELECT FROM content c WHERE c.digest = k.digest);

-- name: collectable_buckets
-- The buckets in which there is such content.
SELECT DISTINCT get_byte(c.digest, 0) AS bucket FROM content c
WHERE c.stored_at < $1
  AND NOT EXISTS (SELECT FROM document_part p WHERE p.digest = c.digest)
  AND NOT EXISTS (SELECT FROM content_upload u WHERE u.digest = c.digest AND u.stored_at >= $1)
ORDER BY bucket;

-- name: forget_waiting
-- Uploads that were not used in time, of content that others keep in being. Waits for nobody.
DELETE FROM content_upload u
USING (
    SELECT agency_id, digest FROM content_upload WHERE stored_at < $1 AND accepted_at IS NULL FOR UPDATE SKIP LOCKED
) AS old
WHERE u.agency_id = old.agency_id AND u.digest = old.digest;

-- name: forget_tokens
-- Tokens whose own time refuses them by now.
DELETE FROM used_token WHERE expires_at < $1;
