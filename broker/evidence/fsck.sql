-- Whether the exchange's rows agree with each other: each statement yields place, key, what, found, expected. $1 is the
-- time before which the workers and the keeper have had their chance.

-- name: without_deliveries
-- Every accepted document has as many deliveries as recipients.
SELECT 'document' AS place, s.code || ' ' || d.id AS key, 'recipients' AS what, v.many || ' deliveries' AS found,
       d.recipients || ' deliveries' AS expected
FROM document d JOIN agency s ON s.agency_id = d.sender_id
CROSS JOIN LATERAL (SELECT count(*) AS many FROM delivery v WHERE v.document_id = d.document_id) v
WHERE d.recipients <> v.many AND d.accepted_at < $1;

-- name: nobody_publishes
-- What must leave has left.
SELECT 'outgoing' AS place, o.outgoing_id::text AS key, 'published_at' AS what,
       o.kind || ' waiting since ' || o.created_at AS found,
       'published: workers and the keeper had time; look whether a keeper runs' AS expected
FROM outgoing o LEFT JOIN document d USING (document_id)
WHERE o.published_at IS NULL AND o.created_at < $1 AND d.held_at IS NULL;

-- name: never_leaves
-- A delivery that is open and never went out has something that will carry it.
SELECT 'delivery' AS place, s.code || ' ' || d.id || ' to ' || r.code AS key, 'outgoing' AS what,
       'never sent, and nothing is there to be published' AS found,
       'a row of outgoing; send it with `lienthong document resend`' AS expected
FROM delivery v JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
JOIN agency r ON r.agency_id = v.recipient_id
WHERE v.dispatched_at IS NULL AND v.closed_at IS NULL AND v.processing = 'accepted' AND d.held_at IS NULL
  AND d.accepted_at < $1
  AND NOT EXISTS (SELECT FROM outgoing o WHERE o.document_id = v.document_id AND o.published_at IS NULL
                    AND (v.recipient_id = ANY (o.recipient_ids) OR (o.recipient_ids IS NULL AND v.owner_id = ANY (o.owner_ids))));

-- name: inline_content
-- Parts that are kept in the database are the bytes that their digest names.
SELECT 'content' AS place, encode(digest, 'hex') AS key, 'inline' AS what, encode(sha256(inline), 'hex') AS found,
       encode(digest, 'hex') AS expected
FROM content WHERE inline IS NOT NULL AND stored_at < $1 AND (sha256(inline) <> digest OR octet_length(inline) <> size);

-- name: parts_recorded
-- Where every part of an accepted document is kept is recorded.
SELECT 'content' AS place, encode(p.digest, 'hex') AS key, 'row' AS what, 'no row' AS found,
       'where ' || p.name || ' of document ' || s.code || ' ' || d.id || ' is kept' AS expected
FROM document_part p JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
WHERE d.accepted_at < $1 AND NOT EXISTS (SELECT FROM content c WHERE c.digest = p.digest);

-- name: stored_content
-- Parts that accepted documents name and that are kept in the content store.
SELECT DISTINCT c.digest, c.size, c.place FROM content c JOIN document_part p USING (digest)
WHERE c.place IS NOT NULL AND c.stored_at < $1 ORDER BY c.digest;
