-- name: provinces_traffic
-- Provinces with the figures of a period: of everything below them, within a scope of its agencies only.
WITH RECURSIVE within AS (
    SELECT a.agency_id AS place_id, a.agency_id FROM agency a WHERE a.level = 'province'
    UNION
    SELECT w.place_id, a.agency_id FROM within w JOIN agency a ON a.parent_id = w.agency_id
), figures AS (
    SELECT f.agency_id, sum(sent) AS sent, sum(deliveries) AS deliveries, sum(confirmed) AS confirmed, sum(overdue) AS overdue,
           sum(accepted) AS accepted, sum(dispatched) AS dispatched, sum(arrived) AS arrived, sum(received) AS received,
           sum(assigned) AS assigned, sum(processing) AS processing, sum(completed) AS completed, sum(refused) AS refused,
           sum(held) AS held, sum(cancelled) AS cancelled, sum(recalled) AS recalled, sum(moved) AS moved
    FROM (SELECT * FROM rollup_month WHERE month >= $2 AND month < $3
          UNION ALL
          SELECT * FROM rollup_day WHERE day >= $4 AND day < $5
          UNION ALL
          SELECT * FROM rollup_day WHERE day >= $6 AND day < $7) f
    GROUP BY f.agency_id
)
SELECT p.agency_id AS place_id, p.code, p.name, p.level, p.nso_code, p.state, coalesce(sum(sent), 0)::bigint AS sent,
       coalesce(sum(deliveries), 0)::bigint AS deliveries, coalesce(sum(confirmed), 0)::bigint AS confirmed,
       coalesce(sum(overdue), 0)::bigint AS overdue, coalesce(sum(accepted), 0)::bigint AS accepted,
       coalesce(sum(dispatched), 0)::bigint AS dispatched, coalesce(sum(arrived), 0)::bigint AS arrived,
       coalesce(sum(received), 0)::bigint AS received, coalesce(sum(assigned), 0)::bigint AS assigned,
       coalesce(sum(processing), 0)::bigint AS processing, coalesce(sum(completed), 0)::bigint AS completed,
       coalesce(sum(refused), 0)::bigint AS refused, coalesce(sum(held), 0)::bigint AS held,
       coalesce(sum(cancelled), 0)::bigint AS cancelled, coalesce(sum(recalled), 0)::bigint AS recalled,
       coalesce(sum(moved), 0)::bigint AS moved
FROM within w
JOIN agency p ON p.agency_id = w.place_id
LEFT JOIN figures f ON f.agency_id = w.agency_id
WHERE $1::bigint[] IS NULL OR w.agency_id = ANY ($1)
GROUP BY p.agency_id
ORDER BY p.code, p.agency_id;

-- name: agencies_below
-- An agency and all below it, each as a place of its own; within a scope only its agencies.
WITH RECURSIVE below AS (
    SELECT a.agency_id FROM agency a WHERE a.agency_id = $2
    UNION
    SELECT a.agency_id FROM below b JOIN agency a ON a.parent_id = b.agency_id
)
SELECT b.agency_id AS place_id, p.code, p.name, p.level, p.nso_code, p.state
FROM below b JOIN agency p ON p.agency_id = b.agency_id
WHERE $1::bigint[] IS NULL OR b.agency_id = ANY ($1)
ORDER BY p.code, b.agency_id;

-- name: document_by_agency
-- One document's deliveries by recipient, as a scope may see them: all where the sender belongs to it.
SELECT v.recipient_id AS agency_id,
       delivery_standing(v.processing, v.recalled, v.arrived_at, v.overdue_at, v.closed_at) AS standing
FROM delivery v JOIN document d ON d.document_id = v.document_id
WHERE v.document_id = $1
  AND ($2::bigint[] IS NULL OR d.sender_id = ANY ($2) OR v.recipient_id = ANY ($2));

-- name: document_by_province
-- One document's deliveries counted by province and standing, as a scope may see them: all where the sender belongs to it.
WITH RECURSIVE within AS (
    SELECT a.agency_id AS place_id, a.agency_id FROM agency a WHERE a.level = 'province'
    UNION
    SELECT w.place_id, a.agency_id FROM within w JOIN agency a ON a.parent_id = w.agency_id
)
SELECT p.agency_id AS place_id, p.code, p.name, p.level, p.nso_code, c.standing, c.deliveries
FROM (SELECT w.place_id, delivery_standing(v.processing, v.recalled, v.arrived_at, v.overdue_at, v.closed_at) AS standing,
             count(*) AS deliveries
      FROM delivery v JOIN document d ON d.document_id = v.document_id JOIN within w ON w.agency_id = v.recipient_id
      WHERE v.document_id = $1
        AND ($2::bigint[] IS NULL OR d.sender_id = ANY ($2) OR v.recipient_id = ANY ($2))
      GROUP BY w.place_id, standing) c
JOIN agency p ON p.agency_id = c.place_id
ORDER BY p.code, p.agency_id;
