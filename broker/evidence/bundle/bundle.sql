-- What a bundle of evidence is made of. Reads only.

-- name: changes_of
-- Documents that change one of these, at any remove.
WITH RECURSIVE related (document_id) AS (
    SELECT unnest($1::bigint[])
    UNION
    SELECT c.document_id FROM document_concerns c JOIN related r ON c.concerned_id = r.document_id
)
SELECT document_id FROM related;

-- name: documents
-- The signed documents, and who submitted them.
SELECT d.document_id, s.code AS sender, d.sender_id, d.id, d.digest, d.jws, d.thumbprint, d.submitter_id,
       d.accepted_at, d.leaf, d.log_by
FROM document d JOIN agency s ON s.agency_id = d.sender_id
WHERE d.document_id = ANY ($1::bigint[]);

-- name: checkpoints
-- The newest checkpoint of every origin.
SELECT o.origin_id, o.origin, c.size, c.note, c.at
FROM log_origin o
CROSS JOIN LATERAL (
    SELECT size, note, at FROM checkpoint WHERE origin_id = o.origin_id ORDER BY size DESC LIMIT 1
) c
ORDER BY o.origin;

-- name: cosignatures
-- What witnesses have added to a checkpoint.
SELECT line FROM cosignature WHERE origin_id = $1 AND size = $2 ORDER BY witness, line;

-- name: stamped
-- Checkpoints with an authority's timestamp that cover a position, up to a size, smallest first.
SELECT c.size, c.note, t.token
FROM checkpoint_timestamp t JOIN checkpoint c ON c.origin_id = t.origin_id AND c.size = t.size
WHERE t.origin_id = $1 AND t.size > $2 AND t.size <= $3
ORDER BY t.size, t.at
LIMIT 10;

-- name: document_events
-- What the log says about these documents.
SELECT e.body, e.document_id, l.origin_id, l.position
FROM event e JOIN log_entry l ON l.event_at = e.at AND l.event_id = e.event_id
WHERE e.document_id = ANY ($1::bigint[]);

-- name: dispatches_at
-- Confirmed publishes recorded at these very moments: those of notices and statuses name no document.
SELECT e.body, e.document_id, l.origin_id, l.position
FROM event e JOIN log_entry l ON l.event_at = e.at AND l.event_id = e.event_id
WHERE e.at = ANY ($1::timestamptz[]) AND e.kind = 'dispatched' AND e.document_id IS NULL;

-- name: statuses_at
-- Recorded statuses of these very moments about documents that the exchange did not know then.
SELECT e.body, e.document_id, l.origin_id, l.position
FROM event e JOIN log_entry l ON l.event_at = e.at AND l.event_id = e.event_id
WHERE e.at = ANY ($1::timestamptz[]) AND e.kind = 'status_recorded' AND e.document_id IS NULL;

-- name: rejections_at
-- Refusals recorded at these very moments.
SELECT e.body, e.document_id, l.origin_id, l.position
FROM event e JOIN log_entry l ON l.event_at = e.at AND l.event_id = e.event_id
WHERE e.at = ANY ($1::timestamptz[]) AND e.kind = 'rejected';

-- name: rejection_times
-- When messages with these ids were refused.
SELECT DISTINCT r.at FROM unnest($1::text[], $2::text[]) AS k (id, claimed_from)
JOIN rejection r ON r.id = k.id AND r.claimed_from = k.claimed_from;

-- name: directory_events
-- What the log says about these agencies.
SELECT e.body, e.document_id, l.origin_id, l.position
FROM event e JOIN log_entry l ON l.event_at = e.at AND l.event_id = e.event_id
WHERE e.agency_id = ANY ($1::bigint[]) AND e.kind = 'directory_changed';

-- name: statuses
-- Signed status messages by sender, id and digest.
SELECT m.status_message_id, m.digest, m.jws, m.accepted_at, m.thumbprint
FROM unnest($1::text[], $2::uuid[], $3::bytea[]) AS k (code, id, digest)
JOIN agency a ON a.code = k.code
JOIN status_message m ON m.sender_id = a.agency_id AND m.id = k.id AND m.digest = k.digest;

-- name: status_dispatches
-- When status messages were forwarded.
SELECT o.status_message_id, o.published_at FROM outgoing o
WHERE o.status_message_id = ANY ($1::bigint[]) AND o.published_at IS NOT NULL;

-- name: notices
-- Notices written for these mailboxes at these very moments.
SELECT DISTINCT o.outgoing_id, o.notice, o.published_at
FROM unnest($1::bigint[], $2::timestamptz[]) AS k (owner_id, at)
JOIN outgoing o ON o.owner_ids[1] = k.owner_id AND o.created_at = k.at AND o.kind = 'notice' AND o.kind <> 'document';

-- name: certificates
-- Certificates with their chains, and whose they are.
SELECT c.thumbprint, c.der, c.chain, c.agency_id, a.code
FROM certificate c JOIN agency a ON a.agency_id = c.agency_id
WHERE c.thumbprint = ANY ($1::bytea[]);

-- name: agency_ids
-- Everybody who ever had these codes.
SELECT agency_id, code FROM agency WHERE code = ANY ($1::text[]);

-- name: mandates
-- What the directory says of these hubs and agencies, if there was an import that told none of its mandates.
SELECT DISTINCT ON (a.code, h.code) h.code AS hub, a.code AS agency, m.may_sign, m.valid_from, m.valid_until
FROM unnest($1::text[], $2::text[]) AS k (hub, agency)
JOIN agency h ON h.code = k.hub JOIN agency a ON a.code = k.agency
JOIN mandate m ON m.hub_id = h.agency_id AND m.agency_id = a.agency_id
WHERE EXISTS (SELECT FROM admin_action x JOIN event e ON e.at = x.at AND e.kind = 'directory_changed'
              CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb AS b) t
              WHERE x.action = 'agencies.imported' AND b ->> 'change' = x.action AND NOT b -> 'facts' ? 'mandates')
ORDER BY a.code, h.code, m.valid_from DESC;

-- name: successions
-- Who took over from whom.
SELECT n.code AS heir, o.code AS agency, min(s.on_date) AS on_date
FROM unnest($1::text[], $2::text[]) AS k (heir, agency)
JOIN agency n ON n.code = k.heir JOIN agency o ON o.code = k.agency
JOIN succession s ON s.new_id = n.agency_id AND s.old_id = o.agency_id
GROUP BY n.code, o.code;

-- name: addressed
-- What the sender wrote for these recipients.
SELECT v.document_id, r.code, v.addressed_as
FROM delivery v JOIN agency r ON r.agency_id = v.recipient_id
WHERE v.document_id = ANY ($1::bigint[]) AND r.code = ANY ($2::text[]);

-- name: tile_leaves
-- Leaf hashes of whole tiles, each tile's one after the other.
SELECT k.number, coalesce(string_agg(l.leaf, ''::bytea ORDER BY l.position), ''::bytea) AS hashes
FROM unnest($2::bigint[]) AS k (number)
LEFT JOIN log_entry l ON l.origin_id = $1 AND l.position >= k.number * 256 AND l.position < (k.number + 1) * 256
GROUP BY k.number;

-- name: tile_nodes
-- Hashes over full tiles, gathered by the tile of the row above that holds them.
SELECT k.number, coalesce(string_agg(n.hash, ''::bytea ORDER BY n.number), ''::bytea) AS hashes
FROM unnest($3::bigint[]) AS k (number)
LEFT JOIN log_node n ON n.origin_id = $1 AND n.level = $2
      AND n.number >= k.number * 256 AND n.number < (k.number + 1) * 256
GROUP BY k.number;

-- name: touching
-- Those of these documents that one of the agencies sent or was to receive.
SELECT d.digest FROM document d
WHERE d.id = ANY ($1::uuid[])
  AND (d.sender_id = ANY ($2::bigint[])
       OR EXISTS (SELECT FROM delivery v WHERE v.document_id = d.document_id AND v.recipient_id = ANY ($2::bigint[])));

-- name: period_count
-- How many documents an archive will hold.
SELECT count(*) FROM document d
WHERE d.accepted_at >= $1 AND d.accepted_at < $2
  AND ($3::bigint[] IS NULL OR d.sender_id = ANY ($3)
       OR EXISTS (SELECT FROM delivery v WHERE v.document_id = d.document_id AND v.recipient_id = ANY ($3)));

-- name: period_page
-- The next documents of a period, oldest first; of a subtree if one is given, whether all of a document is told, and how
-- many bytes its signed messages have.
SELECT d.document_id, d.accepted_at, d.recipients, $3::bigint[] IS NULL OR d.sender_id = ANY ($3) AS whole,
       octet_length(d.jws) + coalesce(m.bytes, 0) AS bytes
FROM document d
LEFT JOIN LATERAL (
    SELECT sum(octet_length(m.jws)) AS bytes
    FROM (SELECT DISTINCT e.status_message_id FROM status_entry e WHERE e.document_id = d.document_id) e
    JOIN status_message m USING (status_message_id)
) m ON true
WHERE d.accepted_at >= $1 AND d.accepted_at < $2 AND (d.accepted_at, d.document_id) > ($4, $5)
  AND ($3::bigint[] IS NULL OR d.sender_id = ANY ($3)
       OR EXISTS (SELECT FROM delivery v WHERE v.document_id = d.document_id AND v.recipient_id = ANY ($3)))
ORDER BY d.accepted_at, d.document_id
LIMIT $6;

-- name: recipients_of
-- Everybody to whom a document was to go, and who has reported about it without being one of them; of a subtree if one is
-- given.
SELECT r.code FROM delivery v JOIN agency r ON r.agency_id = v.recipient_id
WHERE v.document_id = $1 AND ($2::bigint[] IS NULL OR v.recipient_id = ANY ($2))
UNION
SELECT i ->> 'recipient'
FROM event e CROSS JOIN LATERAL jsonb_array_elements(convert_from(e.body, 'UTF8')::jsonb -> 'items') AS i
WHERE e.document_id = $1 AND e.kind = 'status_recorded'
  AND ($2::bigint[] IS NULL OR EXISTS (SELECT FROM agency a WHERE a.code = i ->> 'recipient' AND a.agency_id = ANY ($2)))
ORDER BY code;

-- name: subtree_codes
-- The codes of these agencies.
SELECT DISTINCT code FROM agency WHERE agency_id = ANY ($1::bigint[]) ORDER BY code;
