-- Whether the rollup tables are what the records come to. Rules: broker/audit/recounting.py.

-- name: in_flight
-- Documents with events that are in the log but not taken over, or not in the log yet, and those that these change.
WITH position AS (SELECT origin_id, position FROM rollup_position), waiting AS (
    SELECT e.document_id FROM log_entry l, position p, event e
    WHERE (l.origin_id, l.position) > (p.origin_id, p.position) AND e.at = l.event_at AND e.event_id = l.event_id
    UNION ALL
    SELECT e.document_id FROM event e LEFT JOIN log_cursor c ON true
    WHERE (e.epoch, e.xid, e.event_id) > (coalesce(c.epoch, 0), coalesce(c.xid, '0'), coalesce(c.event_id, 0))
    UNION ALL
    SELECT q.document_id FROM rollup_queue q
)
SELECT document_id FROM waiting WHERE document_id IS NOT NULL
UNION
SELECT c.concerned_id FROM waiting w JOIN document_concerns c ON c.document_id = w.document_id
UNION
SELECT c.document_id FROM waiting w JOIN document_concerns c ON c.concerned_id = w.document_id;

-- name: documents
-- Documents as they stand, with what differs from how they were counted.
SELECT d.document_id, d.id, d.sender_id, d.test, d.number, d.notation, d.subject,
       coalesce(v.recipient_ids, '{}') AS recipient_ids, coalesce(v.standings, '{}') AS standings,
       CASE WHEN r.document_id IS NULL THEN 'missing'
            WHEN r.recipient_ids <> coalesce(v.recipient_ids, '{}') THEN 'recipients'
            WHEN r.standings <> coalesce(v.standings, '{}') THEN 'states'
            WHEN (r.sender_id, r.test, r.accepted_at, r.day) IS DISTINCT FROM
                 (d.sender_id, d.test, d.accepted_at, (d.accepted_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date)
            THEN 'sender, test or day' END AS difference
FROM document d
LEFT JOIN rollup_document r ON r.document_id = d.document_id
CROSS JOIN LATERAL (
    SELECT array_agg(v.recipient_id) AS recipient_ids, array_agg(v.standing) AS standings
    FROM (SELECT v.recipient_id,
                 delivery_standing(v.processing, v.recalled, v.arrived_at, v.overdue_at, v.closed_at) AS standing
          FROM delivery v WHERE v.document_id = d.document_id ORDER BY v.recipient_id) v
) v
WHERE d.document_id > $1
ORDER BY d.document_id
LIMIT $2;

-- name: other_terms
-- Documents that are found by other terms than these.
SELECT k.document_id
FROM unnest($1::bigint[], $2::text[]) AS k (document_id, terms)
JOIN rollup_document r ON r.document_id = k.document_id
WHERE r.terms <> k.terms::tsvector;

-- name: invented
-- Counted documents that are not in the record.
SELECT r.document_id FROM rollup_document r
WHERE NOT EXISTS (SELECT FROM document d WHERE d.document_id = r.document_id)
ORDER BY r.document_id LIMIT $1;

-- name: other_above
-- Agencies whose place in the directory is not the one with which terms were made.
WITH RECURSIVE up AS (
    SELECT a.agency_id, a.parent_id AS above FROM agency a WHERE a.parent_id IS NOT NULL
    UNION
    SELECT u.agency_id, a.parent_id FROM up u JOIN agency a ON a.agency_id = u.above WHERE a.parent_id IS NOT NULL
), now AS (
    SELECT u.agency_id, array_agg(u.above ORDER BY u.above) AS above FROM up u GROUP BY u.agency_id
)
SELECT agency_id, b.above AS counted, n.above AS found
FROM rollup_above b FULL JOIN now n USING (agency_id)
WHERE coalesce(b.above, '{}') <> coalesce(n.above, '{}')
  AND (SELECT revision FROM rollup_position) = (SELECT max(revision) FROM agency)
LIMIT $1;

-- name: above
-- The agencies above each, as terms were made.
SELECT agency_id, above FROM rollup_above;

-- name: other_days
-- Figures of days that are not the sums over the counted documents.
WITH pieces AS (
    SELECT r.sender_id AS agency_id, r.day, 1 AS sent, NULL::smallint AS standing FROM rollup_document r WHERE NOT r.test
    UNION ALL
    SELECT k.recipient_id, r.day, 0, k.standing
    FROM rollup_document r CROSS JOIN LATERAL unnest(r.recipient_ids, r.standings) AS k (recipient_id, standing)
    WHERE NOT r.test
), sums AS (
    SELECT coalesce(p.agency_id, 0) AS agency_id, p.day,
           ARRAY[sum(p.sent), count(p.standing), count(*) FILTER (WHERE p.standing & 16 <> 0),
                 count(*) FILTER (WHERE p.standing & 32 <> 0),
                 count(*) FILTER (WHERE p.standing & 15 = 0), count(*) FILTER (WHERE p.standing & 15 = 1),
                 count(*) FILTER (WHERE p.standing & 15 = 2), count(*) FILTER (WHERE p.standing & 15 = 3),
                 count(*) FILTER (WHERE p.standing & 15 = 4), count(*) FILTER (WHERE p.standing & 15 = 5),
                 count(*) FILTER (WHERE p.standing & 15 = 6), count(*) FILTER (WHERE p.standing & 15 = 7),
                 count(*) FILTER (WHERE p.standing & 15 = 8), count(*) FILTER (WHERE p.standing & 15 = 9),
                 count(*) FILTER (WHERE p.standing & 15 = 10), count(*) FILTER (WHERE p.standing & 15 = 11)] AS figures
    FROM pieces p GROUP BY GROUPING SETS ((p.agency_id, p.day), (p.day))
), told AS (
    SELECT f.agency_id, f.day,
           ARRAY[f.sent, f.deliveries, f.confirmed, f.overdue, f.accepted, f.dispatched, f.arrived, f.received,
                f.assigned, f.processing, f.completed, f.refused, f.held, f.cancelled, f.recalled, f.moved]::bigint[]
           AS figures
    FROM rollup_day f
)
SELECT agency_id, day, t.figures AS counted, s.figures AS found
FROM told t FULL JOIN sums s USING (agency_id, day)
WHERE coalesce(t.figures, array_fill(0::bigint, ARRAY[16])) <> coalesce(s.figures, array_fill(0::bigint, ARRAY[16]))
ORDER BY day, agency_id LIMIT $1;

-- name: other_months
-- Figures of months that are not the sums of their days.
WITH sums AS (
    SELECT f.agency_id, date_trunc('month', f.day)::date AS month,
           ARRAY[sum(f.sent), sum(f.deliveries), sum(f.confirmed), sum(f.overdue), sum(f.accepted), sum(f.dispatched),
                 sum(f.arrived), sum(f.received), sum(f.assigned), sum(f.processing), sum(f.completed),
                 sum(f.refused), sum(f.held), sum(f.cancelled), sum(f.recalled), sum(f.moved)]::bigint[] AS figures
    FROM rollup_day f GROUP BY 1, 2
), told AS (
    SELECT f.agency_id, f.month,
           ARRAY[f.sent, f.deliveries, f.confirmed, f.overdue, f.accepted, f.dispatched, f.arrived, f.received,
                f.assigned, f.processing, f.completed, f.refused, f.held, f.cancelled, f.recalled, f.moved]::bigint[]
           AS figures
    FROM rollup_month f
)
SELECT agency_id, month AS day, t.figures AS counted, s.figures AS found
FROM told t FULL JOIN sums s USING (agency_id, month)
WHERE coalesce(t.figures, array_fill(0::bigint, ARRAY[16])) <> coalesce(s.figures, array_fill(0::bigint, ARRAY[16]))
ORDER BY month, agency_id LIMIT $1;
