-- What the keeper takes over from the log into the rollup tables. Rules: broker/upkeep/rollups.py.

-- name: position
-- How far the log has been taken over; nobody else takes anything over until this transaction ends.
SELECT origin_id, position, event_at, revision FROM rollup_position FOR UPDATE;

-- name: set_position
-- The log has been taken over up to here.
UPDATE rollup_position SET origin_id = $1, position = $2, event_at = $3;

-- name: entries
-- The next entries of the log, each with the document that its event is about.
WITH next AS MATERIALIZED (
    SELECT l.origin_id, l.position, l.event_at, l.event_id FROM log_entry l
    WHERE (l.origin_id, l.position) > ($1::smallint, $2::bigint)
    ORDER BY l.origin_id, l.position
    LIMIT $3
)
SELECT n.origin_id, n.position, n.event_at, e.document_id
FROM next n LEFT JOIN event e ON e.at = n.event_at AND e.event_id = n.event_id
ORDER BY n.origin_id, n.position;

-- name: related
-- Documents that these change, or that change these: an event of one may move deliveries of the other.
SELECT c.concerned_id AS document_id FROM document_concerns c WHERE c.document_id = ANY ($1::bigint[])
UNION
SELECT c.document_id FROM document_concerns c WHERE c.concerned_id = ANY ($1::bigint[]);

-- name: from_queue
-- Documents to look at again whatever the log says.
DELETE FROM rollup_queue WHERE document_id IN (SELECT document_id FROM rollup_queue ORDER BY document_id LIMIT $1)
RETURNING document_id;

-- name: facts
-- Documents as they stand now, and as they were counted.
SELECT d.document_id, d.accepted_at, (d.accepted_at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS day, d.sender_id, d.test,
       d.number, d.notation, d.subject,
       coalesce(v.recipient_ids, '{}') AS recipient_ids, coalesce(v.standings, '{}') AS standings,
       c.day AS old_day, c.sender_id AS old_sender_id, c.test AS old_test, c.recipient_ids AS old_recipient_ids,
       c.standings AS old_standings
FROM unnest($1::bigint[]) AS k (document_id)
JOIN document d ON d.document_id = k.document_id
LEFT JOIN rollup_document c ON c.document_id = k.document_id
CROSS JOIN LATERAL (
    SELECT array_agg(v.recipient_id) AS recipient_ids, array_agg(v.standing) AS standings
    FROM (SELECT v.recipient_id,
                 delivery_standing(v.processing, v.recalled, v.arrived_at, v.overdue_at, v.closed_at) AS standing
          FROM delivery v WHERE v.document_id = k.document_id ORDER BY v.recipient_id) v
) v
ORDER BY d.document_id;

-- name: write_documents
-- Remember how documents were counted, and the terms they are found by. Arrays of arrays travel as text.
INSERT INTO rollup_document AS r (document_id, accepted_at, day, sender_id, test, recipient_ids, standings, terms)
SELECT k.document_id, k.accepted_at, k.day, k.sender_id, k.test, k.recipient_ids::bigint[], k.standings::smallint[],
       k.terms::tsvector
FROM unnest($1::bigint[], $2::timestamptz[], $3::date[], $4::bigint[], $5::boolean[], $6::text[], $7::text[], $8::text[])
     AS k (document_id, accepted_at, day, sender_id, test, recipient_ids, standings, terms)
ON CONFLICT (document_id) DO UPDATE
   SET accepted_at = excluded.accepted_at, day = excluded.day, sender_id = excluded.sender_id, test = excluded.test,
       recipient_ids = excluded.recipient_ids, standings = excluded.standings, terms = excluded.terms;

-- name: revision
-- The directory's latest revision of an agency. Revisions become visible in their order.
SELECT max(revision) FROM agency;

-- name: above
-- The agencies above each agency; UNION, so that a loop in the directory ends.
WITH RECURSIVE up AS (
    SELECT a.agency_id, a.parent_id AS above FROM agency a WHERE a.parent_id IS NOT NULL
    UNION
    SELECT u.agency_id, a.parent_id FROM up u JOIN agency a ON a.agency_id = u.above WHERE a.parent_id IS NOT NULL
)
SELECT u.agency_id, array_agg(u.above ORDER BY u.above) AS above FROM up u GROUP BY u.agency_id;

-- name: above_before
-- The agencies above each, as terms were made.
SELECT agency_id, above FROM rollup_above;

-- name: set_above
-- From now on terms are made so.
INSERT INTO rollup_above (agency_id, above)
SELECT k.agency_id, k.above::bigint[] FROM unnest($1::bigint[], $2::text[]) AS k (agency_id, above)
ON CONFLICT (agency_id) DO UPDATE SET above = excluded.above;

-- name: set_revision
-- The directory has been looked at up to this revision.
UPDATE rollup_position SET revision = $1;

-- name: queue_documents_of
-- Look again at every document with one of these terms.
INSERT INTO rollup_queue (document_id)
SELECT document_id FROM rollup_document WHERE terms @@ $1::text::tsquery
ON CONFLICT DO NOTHING;

-- name: add_to_days
-- Add to the figures of agencies by day.
INSERT INTO rollup_day AS f (agency_id, day, sent, deliveries, confirmed, overdue, accepted, dispatched, arrived, received, assigned, processing,
        completed, refused, held, cancelled, recalled, moved)
SELECT * FROM unnest($1::bigint[], $2::date[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[],
        $10::int[], $11::int[], $12::int[], $13::int[], $14::int[], $15::int[], $16::int[], $17::int[], $18::int[])
ON CONFLICT (agency_id, day) DO UPDATE
   SET sent = f.sent + excluded.sent, deliveries = f.deliveries + excluded.deliveries,
       confirmed = f.confirmed + excluded.confirmed, overdue = f.overdue + excluded.overdue,
       accepted = f.accepted + excluded.accepted, dispatched = f.dispatched + excluded.dispatched,
       arrived = f.arrived + excluded.arrived, received = f.received + excluded.received,
       assigned = f.assigned + excluded.assigned, processing = f.processing + excluded.processing,
       completed = f.completed + excluded.completed, refused = f.refused + excluded.refused,
       held = f.held + excluded.held, cancelled = f.cancelled + excluded.cancelled,
       recalled = f.recalled + excluded.recalled, moved = f.moved + excluded.moved;

-- name: add_to_months
-- Add to the figures of agencies by month.
INSERT INTO rollup_month AS f (agency_id, month, sent, deliveries, confirmed, overdue, accepted, dispatched, arrived, received, assigned, processing,
        completed, refused, held, cancelled, recalled, moved)
SELECT * FROM unnest($1::bigint[], $2::date[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[], $9::int[],
        $10::int[], $11::int[], $12::int[], $13::int[], $14::int[], $15::int[], $16::int[], $17::int[], $18::int[])
ON CONFLICT (agency_id, month) DO UPDATE
   SET sent = f.sent + excluded.sent, deliveries = f.deliveries + excluded.deliveries,
       confirmed = f.confirmed + excluded.confirmed, overdue = f.overdue + excluded.overdue,
       accepted = f.accepted + excluded.accepted, dispatched = f.dispatched + excluded.dispatched,
       arrived = f.arrived + excluded.arrived, received = f.received + excluded.received,
       assigned = f.assigned + excluded.assigned, processing = f.processing + excluded.processing,
       completed = f.completed + excluded.completed, refused = f.refused + excluded.refused,
       held = f.held + excluded.held, cancelled = f.cancelled + excluded.cancelled,
       recalled = f.recalled + excluded.recalled, moved = f.moved + excluded.moved;

-- name: forget_position
-- Begin the log again; what was taken over has been thrown away.
UPDATE rollup_position SET origin_id = 0, position = -1, event_at = NULL, revision = -1;

-- name: throw_away
-- Everything that was taken over.
TRUNCATE rollup_queue, rollup_above, rollup_document, rollup_day, rollup_month;
