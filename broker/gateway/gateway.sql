-- name: use_token
-- Use a token once; nothing comes back if it was used before.
INSERT INTO used_token (thumbprint, jti, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true;

-- name: certificate
-- An enrolled certificate, past or present, with its chain and whose it is.
SELECT c.der, c.chain, c.custody, c.not_before, c.not_after, c.enrolled_at, c.revoked_at, c.revoked_why,
       a.code, a.name
FROM certificate c JOIN agency a ON a.agency_id = c.agency_id
WHERE c.thumbprint = $1;

-- name: waiting_content
-- Content that was stored over HTTP and that no document has named yet: how many, and how many bytes.
SELECT count(*) AS contents, coalesce(sum(c.size), 0)::bigint AS bytes
FROM content_upload u JOIN content c ON c.digest = u.digest WHERE u.accepted_at IS NULL;
