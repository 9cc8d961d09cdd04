-- Figures of agencies and days: from the rollup tables, and counted anew. Both give rows of the same shape.

-- name: by_agency
-- Figures of a period for each agency: whole months, and the days before and after them.
SELECT f.agency_id, NULL::date AS bucket, sum(sent) AS sent, sum(deliveries) AS deliveries, sum(confirmed) AS confirmed, sum(overdue) AS overdue,
       sum(accepted) AS accepted, sum(dispatched) AS dispatched, sum(arrived) AS arrived, sum(received) AS received,
       sum(assigned) AS assigned, sum(processing) AS processing, sum(completed) AS completed, sum(refused) AS refused,
       sum(held) AS held, sum(cancelled) AS cancelled, sum(recalled) AS recalled, sum(moved) AS moved
FROM (SELECT * FROM rollup_month WHERE month >= $2 AND month < $3
      UNION ALL
      SELECT * FROM rollup_day WHERE day >= $4 AND day < $5
      UNION ALL
      SELECT * FROM rollup_day WHERE day >= $6 AND day < $7) f
WHERE f.agency_id <> 0 AND ($1::bigint[] IS NULL OR f.agency_id = ANY ($1))
GROUP BY f.agency_id;

-- name: by_kind
-- What reports tell of a period for each tier and level of agencies, spans as in by_agency.
SELECT a.tier, a.level, sum(sent) AS sent, sum(deliveries) AS deliveries, sum(confirmed) AS confirmed,
       sum(refused) AS refused, sum(completed) AS completed, sum(overdue) AS overdue
FROM (SELECT * FROM rollup_month WHERE month >= $2 AND month < $3
      UNION ALL
      SELECT * FROM rollup_day WHERE day >= $4 AND day < $5
      UNION ALL
      SELECT * FROM rollup_day WHERE day >= $6 AND day < $7) f
JOIN agency a ON a.agency_id = f.agency_id
WHERE $1::bigint[] IS NULL OR f.agency_id = ANY ($1)
GROUP BY a.tier, a.level;

-- name: by_month
-- Figures of a period for each month, of some agencies together.
SELECT 0::bigint AS agency_id, date_trunc('month', f.month)::date AS bucket,
       sum(sent) AS sent, sum(deliveries) AS deliveries, sum(confirmed) AS confirmed, sum(overdue) AS overdue,
       sum(accepted) AS accepted, sum(dispatched) AS dispatched, sum(arrived) AS arrived, sum(received) AS received,
       sum(assigned) AS assigned, sum(processing) AS processing, sum(completed) AS completed, sum(refused) AS refused,
       sum(held) AS held, sum(cancelled) AS cancelled, sum(recalled) AS recalled, sum(moved) AS moved
FROM (SELECT * FROM rollup_month WHERE month >= $2 AND month < $3
      UNION ALL
      SELECT * FROM rollup_day WHERE day >= $4 AND day < $5
      UNION ALL
      SELECT * FROM rollup_day WHERE day >= $6 AND day < $7) f
WHERE f.agency_id = ANY ($1)
GROUP BY 2;

-- name: by_day
-- Figures of a period for each day, of some agencies together.
SELECT 0::bigint AS agency_id, f.day AS bucket, sum(sent) AS sent, sum(deliveries) AS deliveries, sum(confirmed) AS confirmed, sum(overdue) AS overdue,
       sum(accepted) AS accepted, sum(dispatched) AS dispatched, sum(arrived) AS arrived, sum(received) AS received,
       sum(assigned) AS assigned, sum(processing) AS processing, sum(completed) AS completed, sum(refused) AS refused,
       sum(held) AS held, sum(cancelled) AS cancelled, sum(recalled) AS recalled, sum(moved) AS moved
FROM rollup_day f
WHERE f.agency_id = ANY ($1) AND f.day >= $2 AND f.day < $3
GROUP BY f.day;

-- name: recount
-- The same from every document and delivery as they stand now; rehearsals are left out. Reads all of the period.
WITH counted AS MATERIALIZED (
    SELECT d.document_id, d.sender_id, CASE $3::text
             WHEN 'day' THEN (d.accepted_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
             WHEN 'month' THEN date_trunc('month', d.accepted_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date END AS bucket
    FROM document d
    WHERE NOT d.test AND d.accepted_at >= $1 AND d.accepted_at < $2
), standing AS (
    SELECT v.recipient_id, c.bucket,
           delivery_standing(v.processing, v.recalled, v.arrived_at, v.overdue_at, v.closed_at) AS standing
    FROM counted c JOIN delivery v ON v.document_id = c.document_id
    WHERE $4::bigint[] IS NULL OR v.recipient_id = ANY ($4)
)
SELECT c.sender_id AS agency_id, c.bucket, count(*) AS sent, 0 AS deliveries, 0 AS confirmed, 0 AS overdue, 0 AS accepted, 0 AS dispatched, 0 AS arrived, 0 AS received,
       0 AS assigned, 0 AS processing, 0 AS completed, 0 AS refused, 0 AS held, 0 AS cancelled, 0 AS recalled, 0 AS moved
FROM counted c WHERE $4::bigint[] IS NULL OR c.sender_id = ANY ($4)
GROUP BY 1, 2
UNION ALL
SELECT s.recipient_id, s.bucket, 0, count(*), count(*) FILTER (WHERE s.standing & 16 <> 0),
       count(*) FILTER (WHERE s.standing & 32 <> 0),
       count(*) FILTER (WHERE s.standing & 15 = 0), count(*) FILTER (WHERE s.standing & 15 = 1),
       count(*) FILTER (WHERE s.standing & 15 = 2), count(*) FILTER (WHERE s.standing & 15 = 3),
       count(*) FILTER (WHERE s.standing & 15 = 4), count(*) FILTER (WHERE s.standing & 15 = 5),
       count(*) FILTER (WHERE s.standing & 15 = 6), count(*) FILTER (WHERE s.standing & 15 = 7),
       count(*) FILTER (WHERE s.standing & 15 = 8), count(*) FILTER (WHERE s.standing & 15 = 9),
       count(*) FILTER (WHERE s.standing & 15 = 10), count(*) FILTER (WHERE s.standing & 15 = 11)
FROM standing s
GROUP BY 1, 2;

-- name: agencies
-- What reports say of agencies, of all or of some.
SELECT a.agency_id, a.code, a.name, a.level, a.tier FROM agency a
WHERE $1::bigint[] IS NULL OR a.agency_id = ANY ($1);
