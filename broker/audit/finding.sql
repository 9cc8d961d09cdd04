-- name: walk
-- The newest documents that fit, reading back over at most so many.
SELECT f.document_id, f.accepted_at
FROM (SELECT r.document_id, r.accepted_at, r.terms FROM rollup_document r
      WHERE r.accepted_at >= $1 AND (r.accepted_at, r.document_id) < ($2, $3::bigint)
      ORDER BY r.accepted_at DESC, r.document_id DESC
      LIMIT $4) f
WHERE f.terms @@ $5::text::tsquery
LIMIT $6;

-- name: newest
-- The newest documents of a period.
SELECT r.document_id, r.accepted_at FROM rollup_document r
WHERE r.accepted_at >= $1 AND (r.accepted_at, r.document_id) < ($2, $3::bigint)
ORDER BY r.accepted_at DESC, r.document_id DESC
LIMIT $4;

-- name: walked
-- Where a walk over so many documents ended; no row if it came to the period's beginning.
SELECT r.accepted_at, r.document_id FROM rollup_document r
WHERE r.accepted_at >= $1 AND (r.accepted_at, r.document_id) < ($2, $3::bigint)
ORDER BY r.accepted_at DESC, r.document_id DESC
OFFSET $4 - 1 LIMIT 1;

-- name: gather
-- All documents that fit, by their terms; the newest of them, and how many the period has. What is to be checked on each
-- of them is written as a function, because the operator would be looked up in the index.
WITH hits AS MATERIALIZED (
    SELECT r.document_id, r.accepted_at FROM rollup_document r
    WHERE r.terms @@ $1::text::tsquery AND ($7::text IS NULL OR ts_match_vq(r.terms, $7::text::tsquery))
), page AS (
    SELECT h.document_id, h.accepted_at FROM hits h
    WHERE h.accepted_at >= $2 AND (h.accepted_at, h.document_id) < ($4, $5::bigint)
    ORDER BY h.accepted_at DESC, h.document_id DESC
    LIMIT $6
)
SELECT p.document_id, p.accepted_at, n.number
FROM (SELECT count(*) AS number FROM hits WHERE accepted_at >= $2 AND accepted_at < $3) n LEFT JOIN page p ON true
ORDER BY p.accepted_at DESC, p.document_id DESC;

-- name: likely
-- Only ever explained: about how many documents have these terms.
SELECT FROM rollup_document r WHERE r.terms @@ $1::text::tsquery AND r.accepted_at >= $2 AND r.accepted_at < $3;

-- name: likely_any
-- Only ever explained: about how many documents a period has.
SELECT FROM rollup_document r WHERE r.accepted_at >= $1 AND r.accepted_at < $2;

-- name: documents
-- Documents as lines of a list, in the order asked for; once more only those that the scope may see.
SELECT d.document_id, d.id, s.code AS sender, s.name AS sender_name, d.number, d.notation, d.issued_on, d.type, d.subject,
       d.action, d.priority, d.accepted_at, d.recipients, d.test
FROM unnest($1::bigint[]) WITH ORDINALITY AS k (document_id, place)
JOIN document d ON d.document_id = k.document_id
JOIN agency s ON s.agency_id = d.sender_id
WHERE $2::bigint[] IS NULL OR d.sender_id = ANY ($2)
   OR EXISTS (SELECT FROM delivery v WHERE v.document_id = d.document_id AND v.recipient_id = ANY ($2))
ORDER BY k.place;

-- name: taken_over
-- How far the log has been taken over, how many entries it has beyond, and how many events it has not got yet.
SELECT o.origin, CASE WHEN p.position >= 0 THEN p.position END AS position, p.event_at AS at,
       (SELECT count(*) FROM (
            SELECT FROM log_entry l
            WHERE (l.origin_id, l.position) > ((SELECT origin_id FROM rollup_position),
                                               (SELECT position FROM rollup_position))
            ORDER BY l.origin_id, l.position LIMIT $1) l)
       + (SELECT count(*) FROM (
            SELECT FROM event e
            WHERE (e.epoch, e.xid, e.event_id) > (coalesce((SELECT epoch FROM log_cursor), 0),
                                                  coalesce((SELECT xid FROM log_cursor), '0'),
                                                  coalesce((SELECT event_id FROM log_cursor), 0))
            ORDER BY e.epoch, e.xid, e.event_id LIMIT $1) e) AS behind
FROM rollup_position p LEFT JOIN log_origin o ON o.origin_id = p.origin_id;
