-- The exchange's rows against the events that tell of them. Each statement yields one line for everything that does not
-- fit: place (a table), key, what (a column, or row), found, expected. Only bytes of events are believed; whether those
-- are the ones that were logged is checked elsewhere. $1 is the time from which on events and rows are looked at.

-- name: document_columns
-- A document's columns say what its acceptance says.
WITH told AS MATERIALIZED (
    SELECT DISTINCT ON (b #>> '{document,from}', b #>> '{document,id}') b, leaf
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b, leaf, epoch, xid, event_id FROM event
          WHERE kind = 'accepted' AND at >= $1) e
    WHERE coalesce((b ->> 'part')::int, 1) = 1
    ORDER BY b #>> '{document,from}', b #>> '{document,id}', epoch DESC, xid DESC, event_id DESC
)
SELECT 'document' AS place, s.code || ' ' || d.id AS key, x.what, x.found, x.expected
FROM told t
JOIN document d ON d.id = (t.b #>> '{document,id}')::uuid
JOIN agency s ON s.agency_id = d.sender_id AND s.code = t.b #>> '{document,from}'
LEFT JOIN agency u ON u.agency_id = d.submitter_id
CROSS JOIN LATERAL (VALUES
    ('digest', encode(d.digest, 'hex'), t.b #>> '{document,digest}'),
    ('action', d.action, t.b ->> 'action'),
    ('priority', d.priority::text, t.b ->> 'priority'),
    ('test', d.test::text, t.b ->> 'test'),
    ('sent_at', d.sent_at::text, (t.b ->> 'sent_at')::timestamptz::text),
    ('accepted_at', d.accepted_at::text, (t.b ->> 'at')::timestamptz::text),
    ('submitter_id', u.code, t.b ->> 'submitter'),
    ('thumbprint', encode(d.thumbprint, 'hex'), t.b ->> 'thumbprint'),
    ('natural_key', encode(d.natural_key, 'hex'), t.b ->> 'natural_key'),
    ('warnings', (SELECT string_agg(w, ', ' ORDER BY w)
                  FROM jsonb_path_query(d.warnings, '$[*].error') AS k (w_), LATERAL (SELECT w_ #>> '{}' AS w) z),
                 (SELECT string_agg(w, ', ' ORDER BY w) FROM jsonb_array_elements_text(t.b -> 'warnings') AS k (w))),
    ('leaf', encode(d.leaf, 'hex'), encode(t.leaf, 'hex')),
    ('log_by', d.log_by::text, coalesce((t.b ->> 'log_by')::timestamptz, d.log_by)::text),
    ('document_part', (SELECT coalesce(jsonb_agg(encode(p.digest, 'hex') ORDER BY p.ordinal), '[]')
                       FROM document_part p WHERE p.document_id = d.document_id)::text, (t.b -> 'parts_digests')::text)
) AS x (what, found, expected)
WHERE x.found IS DISTINCT FROM x.expected;

-- name: accepted_twice
-- A document is accepted once: what comes again is a duplicate, or the twin that was refused. What a restore put back was
-- lost with its rows, so that the same document may be accepted anew after it.
WITH told AS MATERIALIZED (
    SELECT at, event_id, convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'accepted'
), often AS (
    SELECT b #>> '{document,from}' AS sender, b #>> '{document,id}' AS id, array_agg(at ORDER BY at, event_id) AS ats,
           array_agg(event_id ORDER BY at, event_id) AS event_ids,
           array_agg(b #>> '{document,digest}' ORDER BY at, event_id) AS digests
    FROM told
    GROUP BY 1, 2
    HAVING count(*) > min(coalesce((b ->> 'parts')::int, 1)) AND max(at) >= $1
)
SELECT 'event' AS place, o.sender || ' ' || o.id AS key, 'accepted' AS what,
       (SELECT string_agg(k.at || ' ' || k.event_id || coalesce(' (position ' || l.position || ')', ' (not in the log yet)')
                          || ': ' || left(k.digest, 16), ' and ' ORDER BY k.ordinality)
        FROM unnest(o.ats, o.event_ids, o.digests) WITH ORDINALITY AS k (at, event_id, digest, ordinality)
        LEFT JOIN log_entry l ON l.event_at = k.at AND l.event_id = k.event_id) AS found,
       'one of these events: a document is accepted once, and whatever comes again is a duplicate or refused' AS expected
FROM often o;

-- name: documents_missing
-- Every accepted document is there.
SELECT 'document' AS place, (b #>> '{document,from}') || ' ' || (b #>> '{document,id}') AS key, 'row' AS what,
       'no row' AS found, 'the document accepted at ' || (b ->> 'at') AS expected
FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'accepted' AND at >= $1) e
WHERE coalesce((b ->> 'part')::int, 1) = 1
  AND NOT EXISTS (SELECT FROM document d JOIN agency s ON s.agency_id = d.sender_id
                  WHERE d.id = (b #>> '{document,id}')::uuid AND s.code = b #>> '{document,from}');

-- name: documents_untold
-- Every document was accepted.
SELECT 'document' AS place, s.code || ' ' || d.id AS key, 'row' AS what, 'a row' AS found,
       'no row: no event tells that it was accepted' AS expected
FROM document d JOIN agency s ON s.agency_id = d.sender_id
LEFT JOIN (SELECT convert_from(body, 'UTF8')::jsonb -> 'document' AS b FROM surviving_event WHERE kind = 'accepted' AND at >= $1) e
       ON e.b ->> 'from' = s.code AND (e.b ->> 'id')::uuid = d.id
WHERE d.accepted_at >= $1 AND e.b IS NULL;

-- name: recipients_counted
-- A document's number of recipients is that of its deliveries.
SELECT 'document' AS place, s.code || ' ' || d.id AS key, 'recipients' AS what, d.recipients::text AS found,
       v.many::text AS expected
FROM document d JOIN agency s ON s.agency_id = d.sender_id
CROSS JOIN LATERAL (SELECT count(*) AS many FROM delivery v WHERE v.document_id = d.document_id) v
WHERE d.accepted_at >= $1 AND d.recipients <> v.many;

-- name: held_and_cancelled
-- Only an operator, or a recall that was quicker, keeps a delivery from going out.
SELECT 'delivery' AS place, s.code || ' ' || d.id || ' to ' || r.code AS key, 'processing' AS what,
       v.processing AS found, 'another state: no event tells that an operator did this' AS expected
FROM delivery v JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
JOIN agency r ON r.agency_id = v.recipient_id
WHERE v.processing IN ('held', 'cancelled') AND d.accepted_at >= $1
  AND NOT EXISTS (SELECT FROM surviving_event e, convert_from(e.body, 'UTF8') AS t, LATERAL (SELECT t::jsonb AS b) x
                  WHERE e.document_id = d.document_id AND e.kind = 'operator_action'
                    AND b ->> 'action' = CASE v.processing WHEN 'held' THEN 'document.hold' ELSE 'document.cancel' END
                    AND b ->> 'target' = d.id::text AND b -> 'recipients' ? r.code)
  AND NOT (v.processing = 'cancelled' AND d.action = 'recall');

-- name: holds
-- A document is held when, and only if, the newest hold of it was not ended.
WITH told AS (
    SELECT DISTINCT ON (document_id) document_id, b ->> 'action' AS action, (b ->> 'at')::timestamptz AS at
    FROM (SELECT document_id, convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event
          WHERE kind = 'operator_action' AND document_id IS NOT NULL) e
    WHERE b ->> 'action' IN ('document.hold', 'document.release', 'document.cancel')
    ORDER BY document_id, at DESC
)
SELECT 'document' AS place, s.code || ' ' || d.id AS key, 'held_at' AS what, coalesce(d.held_at::text, 'nothing') AS found,
       coalesce(t.at::text, 'nothing: no event tells a hold that lasts') AS expected
FROM document d JOIN agency s ON s.agency_id = d.sender_id
LEFT JOIN told t ON t.document_id = d.document_id AND t.action = 'document.hold'
WHERE d.accepted_at >= $1 AND d.held_at IS DISTINCT FROM t.at;

-- name: overdue_flags
-- A delivery is overdue when, and only if, an event says so.
WITH told AS (
    SELECT (b #>> '{document,id}')::uuid AS id, b #>> '{document,from}' AS sender, r.code AS recipient,
           min((b ->> 'at')::timestamptz) AS at
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'overdue' AND at >= $1) e
    CROSS JOIN LATERAL jsonb_array_elements_text(b -> 'recipients') AS r (code)
    WHERE b ->> 'what' = 'arrival'
    GROUP BY 1, 2, 3
), there AS (
    SELECT d.id, s.code AS sender, r.code AS recipient, v.overdue_at AS at
    FROM delivery v JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
    JOIN agency r ON r.agency_id = v.recipient_id
    WHERE d.accepted_at >= $1
)
SELECT 'delivery' AS place, t.sender || ' ' || t.id || ' to ' || t.recipient AS key, 'overdue_at' AS what,
       coalesce(t.at::text, 'nothing') AS found, coalesce(o.at::text, 'nothing: no event tells it') AS expected
FROM there t LEFT JOIN told o USING (id, sender, recipient)
WHERE t.at IS DISTINCT FROM o.at;

-- name: moved_deliveries
-- A delivery to an agency that has closed went to its successor, or its sender was told that it cannot, when, and only
-- if, an event says so.
WITH told AS (
    SELECT (b #>> '{document,id}')::uuid AS id, b #>> '{document,from}' AS sender, m ->> 'closed' AS recipient,
           max((b ->> 'at')::timestamptz) FILTER (WHERE (m ->> 'moved')::boolean) AS moved_at,
           max(m #>> '{successors,0}') FILTER (WHERE (m ->> 'moved')::boolean) AS moved_to,
           max((b ->> 'at')::timestamptz) FILTER (WHERE NOT (m ->> 'moved')::boolean) AS stranded_at
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'rerouted' AND at >= $1) e
    CROSS JOIN LATERAL jsonb_array_elements(b -> 'deliveries') AS m
    GROUP BY 1, 2, 3
), there AS (
    SELECT d.id, s.code AS sender, r.code AS recipient, v.moved_at, n.code AS moved_to, v.stranded_at
    FROM delivery v JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
    JOIN agency r ON r.agency_id = v.recipient_id LEFT JOIN agency n ON n.agency_id = v.moved_to
    WHERE d.accepted_at >= $1
)
SELECT 'delivery' AS place, h.sender || ' ' || h.id || ' to ' || h.recipient AS key, x.what,
       coalesce(x.found, 'nothing') AS found, coalesce(x.expected, 'nothing: no event tells it') AS expected
FROM there h LEFT JOIN told t USING (id, sender, recipient)
CROSS JOIN LATERAL (VALUES
    ('moved_at', h.moved_at::text, t.moved_at::text),
    ('moved_to', h.moved_to, t.moved_to),
    ('stranded_at', h.stranded_at::text, t.stranded_at::text)
) AS x (what, found, expected)
WHERE x.found IS DISTINCT FROM x.expected;

-- name: status_messages
-- Every status message that was recorded is there, and says what was recorded.
WITH told AS MATERIALIZED (
    SELECT DISTINCT ON (b #>> '{message,from}', b #>> '{message,id}') b, leaf
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b, leaf, epoch, xid, event_id FROM surviving_event
          WHERE kind = 'status_recorded' AND at >= $1) e
    ORDER BY b #>> '{message,from}', b #>> '{message,id}', epoch, xid, event_id
)
SELECT 'status_message' AS place, (t.b #>> '{message,from}') || ' ' || (t.b #>> '{message,id}') AS key, x.what,
       x.found, x.expected
FROM told t
LEFT JOIN (SELECT m.*, s.code FROM status_message m JOIN agency s ON s.agency_id = m.sender_id) m
       ON m.id = (t.b #>> '{message,id}')::uuid AND m.code = t.b #>> '{message,from}'
CROSS JOIN LATERAL (VALUES
    ('row', CASE WHEN m.id IS NULL THEN 'no row' END, CASE WHEN m.id IS NULL THEN 'the message recorded at ' || (t.b ->> 'at') END),
    ('digest', encode(m.digest, 'hex'), t.b #>> '{message,digest}'),
    ('thumbprint', encode(m.thumbprint, 'hex'), t.b ->> 'thumbprint'),
    ('accepted_at', m.accepted_at::text, (t.b ->> 'at')::timestamptz::text),
    ('log_by', m.log_by::text, coalesce((t.b ->> 'log_by')::timestamptz, m.log_by)::text)
) AS x (what, found, expected)
WHERE x.found IS DISTINCT FROM x.expected AND (m.id IS NOT NULL OR x.what = 'row');

-- name: refused_items
-- Which items of a recorded message were refused, and for what, is what its events tell.
WITH told AS (
    SELECT b #>> '{message,from}' AS sender, (b #>> '{message,id}')::uuid AS id, i ->> 'item' AS item, i ->> 'error' AS error
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'status_recorded' AND at >= $1) e
    CROSS JOIN LATERAL jsonb_array_elements(b -> 'items') AS i
    WHERE i ? 'error'
), there AS (
    SELECT s.code AS sender, m.id, r ->> 'item' AS item, r ->> 'error' AS error
    FROM status_message m JOIN agency s ON s.agency_id = m.sender_id
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE jsonb_typeof(m.refused_items) WHEN 'array' THEN m.refused_items ELSE '[null]' END) AS r
    WHERE m.accepted_at >= $1
)
SELECT 'status_message' AS place, sender || ' ' || id || ' item ' || coalesce(item, '?') AS key, 'refused_items' AS what,
       CASE WHEN h.one IS NULL THEN 'nothing' ELSE coalesce(error, 'no error') END AS found,
       CASE WHEN t.one IS NULL THEN 'nothing: no event tells it' ELSE error END AS expected
FROM (SELECT *, 1 AS one FROM told) t FULL JOIN (SELECT *, 1 AS one FROM there) h USING (sender, id, item, error)
WHERE t.one IS NULL OR h.one IS NULL;

-- name: status_leaves
-- A status message names the leaf of one of its events.
SELECT 'status_message' AS place, s.code || ' ' || m.id AS key, 'leaf' AS what, encode(m.leaf, 'hex') AS found,
       'the leaf of an event that tells of it' AS expected
FROM status_message m JOIN agency s ON s.agency_id = m.sender_id
WHERE m.accepted_at >= $1
  AND NOT EXISTS (SELECT FROM surviving_event e WHERE e.leaf = m.leaf AND e.kind IN ('status_recorded', 'rejected')
                    AND convert_from(e.body, 'UTF8')::jsonb @> CASE e.kind
                        WHEN 'rejected' THEN jsonb_build_object('id', m.id::text)
                        ELSE jsonb_build_object('message', jsonb_build_object('id', m.id::text, 'from', s.code)) END);

-- name: status_entries
-- Every status that took effect is there, and no other.
WITH told AS MATERIALIZED (
    SELECT DISTINCT (i #>> '{document,id}')::uuid AS document, i #>> '{document,from}' AS sender,
           i ->> 'recipient' AS recipient, i ->> 'code' AS code, (i ->> 'at')::timestamptz AS at,
           b #>> '{message,from}' AS by
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'status_recorded' AND at >= $1) e
    CROSS JOIN LATERAL jsonb_array_elements(b -> 'items') AS i
    WHERE NOT i ? 'error'
), there AS (
    SELECT DISTINCT d.id AS document, s.code AS sender, r.code AS recipient, e.code, e.at, y.code AS by
    FROM status_entry e JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
    JOIN agency r ON r.agency_id = e.recipient_id JOIN agency y ON y.agency_id = e.by_id
    WHERE e.recorded_at >= $1
)
SELECT 'status_entry' AS place,
       sender || ' ' || document || ' to ' || recipient || ': ' || code || ' by ' || by || ' of ' || at AS key,
       'row' AS what, CASE WHEN t.one IS NULL THEN 'a row' ELSE 'no row' END AS found,
       CASE WHEN t.one IS NULL THEN 'no row: no event tells it' ELSE 'the status that was recorded' END AS expected
FROM (SELECT *, 1 AS one FROM told) t FULL JOIN (SELECT *, 1 AS one FROM there) h
     USING (document, sender, recipient, code, at, by)
WHERE t.one IS NULL OR h.one IS NULL;

-- name: status_entry_messages
-- A status carries the digest of the message that it came in, and was recorded when that was.
SELECT 'status_entry' AS place, s.code || ' ' || m.id || ' item ' || e.item AS key, x.what, x.found, x.expected
FROM status_entry e JOIN status_message m USING (status_message_id) JOIN agency s ON s.agency_id = m.sender_id
CROSS JOIN LATERAL (VALUES
    ('digest', encode(e.digest, 'hex'), encode(m.digest, 'hex')),
    ('recorded_at', e.recorded_at::text, m.accepted_at::text)
) AS x (what, found, expected)
WHERE m.accepted_at >= $1 AND x.found <> x.expected;

-- name: rejections_named
-- A refusal names the message that its event names.
SELECT 'rejection' AS place, (b ->> 'at') || ' ' || (b ->> 'error') AS key, 'id' AS what,
       'no row of ' || concat_ws(' ', b ->> 'kind', b ->> 'claimed_from', b ->> 'id') AS found, 'the refusal of it' AS expected
FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'rejected' AND at >= $1) e
WHERE NOT EXISTS (SELECT FROM rejection r WHERE r.at = (b ->> 'at')::timestamptz AND r.code = b ->> 'error'
                    AND (b ->> 'kind' IS NULL OR r.kind = b ->> 'kind')
                    AND (b ->> 'claimed_from' IS NULL OR r.claimed_from = b ->> 'claimed_from')
                    AND (b ->> 'id' IS NULL OR r.id = b ->> 'id'));

-- name: certificates
-- A certificate is the one that was enrolled, for whom it was, and revoked when an event says so.
WITH told AS (
    SELECT b #>> '{facts,thumbprint}' AS thumbprint, b ->> 'change' AS change, b
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'directory_changed') e
    WHERE b ->> 'change' IN ('certificate.enrolled', 'certificate.revoked')
), enrolled AS (SELECT * FROM told WHERE change = 'certificate.enrolled'),
   revoked AS (SELECT * FROM told WHERE change = 'certificate.revoked')
SELECT 'certificate' AS place, coalesce(encode(c.thumbprint, 'hex'), t.thumbprint) AS key, x.what, x.found, x.expected
FROM enrolled t FULL JOIN (SELECT c.*, a.code FROM certificate c JOIN agency a USING (agency_id)) c
     ON encode(c.thumbprint, 'hex') = t.thumbprint
LEFT JOIN revoked r ON r.thumbprint = encode(c.thumbprint, 'hex')
CROSS JOIN LATERAL (VALUES
    ('row', CASE WHEN c.thumbprint IS NULL THEN 'no row' ELSE 'a row' END,
            CASE WHEN t.b IS NULL THEN 'no row: no event tells its enrolment' ELSE 'a row' END),
    ('der', encode(sha256(c.der), 'hex'), encode(c.thumbprint, 'hex')),
    ('agency_id', c.code, t.b #>> '{codes,0}'),
    ('custody', c.custody, t.b #>> '{facts,custody}'),
    ('enrolled_at', c.enrolled_at::text, (t.b ->> 'at')::timestamptz::text),
    ('not_before', c.not_before::text, (t.b #>> '{facts,not_before}')::timestamptz::text),
    ('not_after', c.not_after::text, (t.b #>> '{facts,not_after}')::timestamptz::text),
    ('revoked_at', c.revoked_at::text, (r.b #>> '{facts,revoked_at}')::timestamptz::text)
) AS x (what, found, expected)
WHERE x.found IS DISTINCT FROM x.expected
  AND (x.what = 'row' OR (c.thumbprint IS NOT NULL AND t.b IS NOT NULL));

-- name: agencies
-- An agency that was added is there, under its code and, unless an import named it (which tells no levels), its level.
WITH said AS MATERIALIZED (
    SELECT agency_id, b FROM (SELECT agency_id, convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event
                              WHERE kind = 'directory_changed') e
    WHERE b ->> 'change' IN ('agency.added', 'agencies.imported')
), imported AS (
    SELECT DISTINCT c.code FROM said CROSS JOIN LATERAL jsonb_array_elements_text(b -> 'codes') AS c (code)
    WHERE b ->> 'change' = 'agencies.imported'
)
SELECT 'agency' AS place, b #>> '{codes,0}' AS key, x.what, x.found, x.expected
FROM said LEFT JOIN agency a USING (agency_id) LEFT JOIN imported i ON i.code = b #>> '{codes,0}'
CROSS JOIN LATERAL (VALUES
    ('row', CASE WHEN a.agency_id IS NULL THEN 'no row' END, CASE WHEN a.agency_id IS NULL THEN 'the agency' END),
    ('code', a.code, b #>> '{codes,0}'),
    ('level', a.level, b #>> '{facts,level}'),
    ('derived', a.derived::text, b #>> '{facts,derived}')
) AS x (what, found, expected)
WHERE b ->> 'change' = 'agency.added' AND x.found IS DISTINCT FROM x.expected
  AND (a.agency_id IS NOT NULL OR x.what = 'row') AND (i.code IS NULL OR x.what IN ('row', 'code'));

-- name: mandates
-- A mandate is what the newest events about it say, and none is there that no event tells. Codes may mean another agency
-- later: one row of those that fit is enough. Imports of before told no mandates: what came before the last of them may
-- have been changed by it, and who has a mandate from one is not told.
WITH said AS MATERIALIZED (
    SELECT b ->> 'change' AS change, b -> 'codes' AS codes, coalesce(b -> 'facts', '{}') AS facts,
           (((b ->> 'at')::timestamptz AT TIME ZONE 'UTC') + interval '7 hours')::date AS day, epoch, xid, event_id
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b, epoch, xid, event_id FROM surviving_event
          WHERE kind = 'directory_changed') e
    WHERE b ->> 'change' IN ('agency.added', 'mandate.given', 'mandate.ended', 'mandates.imported', 'agencies.imported')
), pairs AS (
    SELECT facts ->> 'hub' AS hub, codes ->> 0 AS agency, 'true' AS receive, 'true' AS sign, facts ->> 'from' AS since,
           NULL::date AS until, epoch, xid, event_id
    FROM said WHERE change = 'agency.added' AND facts ->> 'hub' IS NOT NULL
    UNION ALL
    SELECT facts ->> 'hub', codes ->> 0, facts ->> 'receive', facts ->> 'sign', facts ->> 'from',
           CASE WHEN change = 'mandate.ended' THEN day END, epoch, xid, event_id
    FROM said WHERE change IN ('mandate.given', 'mandate.ended')
    UNION ALL
    SELECT codes ->> 0, c.code, facts ->> 'receive', facts ->> 'sign', facts ->> 'from', NULL, epoch, xid, event_id
    FROM said CROSS JOIN LATERAL jsonb_array_elements_text(codes - 0) AS c (code) WHERE change = 'mandates.imported'
), newest AS (
    SELECT DISTINCT ON (hub, agency) * FROM pairs ORDER BY hub, agency, epoch DESC, xid DESC, event_id DESC
), given AS (
    SELECT DISTINCT ON (hub, agency) * FROM pairs WHERE until IS NULL
    ORDER BY hub, agency, epoch DESC, xid DESC, event_id DESC
), silent AS (
    SELECT epoch, xid, event_id FROM said WHERE change = 'agencies.imported' AND NOT facts ? 'mandates'
    ORDER BY epoch DESC, xid DESC, event_id DESC LIMIT 1
), told AS (
    SELECT n.hub, n.agency, g.receive, g.sign, g.since, n.until,
           coalesce((i.epoch, i.xid, i.event_id) > (n.epoch, n.xid, n.event_id), false) AS outdated
    FROM newest n LEFT JOIN given g USING (hub, agency) LEFT JOIN silent i ON true
), there AS (
    SELECT h.code AS hub, a.code AS agency, m.may_receive::text AS receive, m.may_sign::text AS sign,
           m.valid_from::text AS since, m.valid_until AS until
    FROM mandate m JOIN agency h ON h.agency_id = m.hub_id JOIN agency a ON a.agency_id = m.agency_id
), held AS (
    SELECT hub, agency, x.*, bool_or(x.row_found = x.row_expected AND x.receive = x.receive_expected
               AND x.sign = x.sign_expected AND x.since = x.since_expected AND x.until = x.until_expected)
               OVER (PARTITION BY hub, agency) AS fits
    FROM (SELECT *, 1 AS one FROM told) t FULL JOIN (SELECT *, 1 AS one FROM there) r USING (hub, agency)
    CROSS JOIN LATERAL (SELECT
        CASE WHEN r.one IS NULL THEN 'no row' ELSE 'a row' END AS row_found,
        CASE WHEN t.one IS NULL THEN 'no row: no event tells it' ELSE 'a row' END AS row_expected,
        r.receive, CASE WHEN t.outdated THEN r.receive ELSE coalesce(t.receive, r.receive) END AS receive_expected,
        r.sign, CASE WHEN t.outdated THEN r.sign ELSE coalesce(t.sign, r.sign) END AS sign_expected,
        r.since, CASE WHEN t.outdated THEN r.since ELSE coalesce(t.since, r.since) END AS since_expected,
        coalesce(r.until::text, 'nothing') AS until,
        coalesce(CASE WHEN t.outdated THEN r.until ELSE t.until END ::text, 'nothing') AS until_expected,
        t.one IS NULL AS untold, r.one IS NULL AS missing
    ) x (row_found, row_expected, receive, receive_expected, sign, sign_expected, since, since_expected, until,
         until_expected, untold, missing)
)
SELECT 'mandate' AS place, hub || ' for ' || agency AS key, x.what, x.found, x.expected
FROM held
CROSS JOIN LATERAL (VALUES
    ('row', row_found, row_expected),
    ('may_receive', receive, receive_expected),
    ('may_sign', sign, sign_expected),
    ('valid_from', since, since_expected),
    ('valid_until', until, until_expected)
) AS x (what, found, expected)
WHERE fits IS NOT TRUE AND x.found IS DISTINCT FROM x.expected AND (x.what = 'row' OR NOT (untold OR missing))
  AND NOT (untold AND EXISTS (SELECT FROM silent));

-- name: operators
-- What operators did is what they were recorded to do, with the reason that they gave. Who signs in gives none; sign-ins are
-- compared with sessions (sessions.sql).
SELECT 'admin_action' AS place, (b ->> 'at') || ' ' || (b ->> 'action') || ' ' || (b ->> 'target') AS key,
       x.what, x.found, x.expected
FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'operator_action' AND at >= $1) e
LEFT JOIN admin_action a ON a.at = (b ->> 'at')::timestamptz AND a.action = b ->> 'action' AND a.target = b ->> 'target'
CROSS JOIN LATERAL (VALUES
    ('row', CASE WHEN a.action_id IS NULL THEN 'no row' END, CASE WHEN a.action_id IS NULL THEN 'what the event tells' END),
    ('reason', encode(sha256(convert_to(a.reason, 'UTF8')), 'hex'), b ->> 'reason_sha256'),
    ('actor', left(encode(sha256(convert_to(a.actor, 'UTF8')), 'hex'), 16), b ->> 'actor')
) AS x (what, found, expected)
WHERE x.found IS DISTINCT FROM x.expected AND (a.action_id IS NOT NULL OR x.what = 'row')
  AND b ->> 'action' <> 'session.begun';

-- name: directory_authors
-- Every change of the directory was made by who is recorded, for the reason that is. Events of before tell neither. Several
-- changes of one moment have a row each.
WITH told AS (
    SELECT at, event_id, b, b ->> 'change' AS change,
           CASE WHEN coalesce(b ->> 'part', '1') <> '1' THEN NULL
                WHEN b ->> 'change' ~ '^certificate[.]' THEN b #>> '{facts,thumbprint}'
                WHEN b ->> 'change' ~ '^(agency|mandate)[.]'
                THEN (SELECT string_agg(c.code, ', ' ORDER BY c.n)
                      FROM jsonb_array_elements_text(b -> 'codes') WITH ORDINALITY AS c (code, n) WHERE c.n <= 5)
           END AS target
    FROM (SELECT at, event_id, convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event
          WHERE kind = 'directory_changed' AND at >= $1) e
), paired AS (
    SELECT DISTINCT ON (t.event_id) t.b, t.change, t.target AS named, a.action_id, a.target,
           encode(sha256(convert_to(a.reason, 'UTF8')), 'hex') AS why,
           left(encode(sha256(convert_to(a.actor, 'UTF8')), 'hex'), 16) AS who
    FROM told t LEFT JOIN admin_action a ON a.at = t.at AND a.action = t.change
    ORDER BY t.event_id, (a.target = t.target) IS TRUE DESC, a.action_id
)
SELECT DISTINCT 'admin_action' AS place, (b ->> 'at') || ' ' || change AS key, x.what, x.found, x.expected
FROM paired
CROSS JOIN LATERAL (VALUES
    ('row', CASE WHEN action_id IS NULL THEN 'no row' END, CASE WHEN action_id IS NULL THEN 'who made this change, and why' END),
    ('reason', why, coalesce(b ->> 'reason_sha256', why)),
    ('actor', who, coalesce(b ->> 'actor', who)),
    ('target', target, coalesce(named, target))
) AS x (what, found, expected)
WHERE x.found IS DISTINCT FROM x.expected AND (x.what = 'row' OR action_id IS NOT NULL);

-- name: actions_untold
-- No action of an operator is recorded that no event tells.
SELECT 'admin_action' AS place, a.at || ' ' || a.action || ' ' || a.target AS key, 'row' AS what, 'a row' AS found,
       'no row: no event tells it' AS expected
FROM admin_action a
WHERE a.at >= $1
  AND NOT EXISTS (SELECT FROM surviving_event e WHERE e.at = a.at AND e.kind IN ('operator_action', 'directory_changed')
                    AND a.action IN (convert_from(e.body, 'UTF8')::jsonb ->> 'action',
                                     convert_from(e.body, 'UTF8')::jsonb ->> 'change'));

-- name: accounts
-- An account is there that an operator made, is disabled when, and only if, the newest event about that says so, and may do
-- and see what it was made for: nothing changes that, so that every event of its making counts. Events of before tell
-- neither.
WITH told AS (
    SELECT b ->> 'target' AS account, b ->> 'action' AS action, b ->> 'at' AS at, b -> 'facts' AS facts, epoch, xid, event_id
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b, epoch, xid, event_id FROM surviving_event
          WHERE kind = 'operator_action') e
    WHERE b ->> 'action' LIKE 'account.%'
), made AS (SELECT account, min(at) AS at FROM told WHERE action = 'account.add' GROUP BY 1),
newest AS (
    SELECT DISTINCT ON (account) account, action FROM told WHERE action IN ('account.disable', 'account.enable')
    ORDER BY account, epoch DESC, xid DESC, event_id DESC
)
SELECT 'account' AS place, coalesce(a.account_id, m.account) AS key, 'row' AS what,
       CASE WHEN m.account IS NULL THEN 'a row' ELSE 'no row' END AS found,
       coalesce('the account made at ' || m.at, 'no row: no event tells that an operator made it') AS expected
FROM account a FULL JOIN made m ON m.account = a.account_id
WHERE m.account IS NULL OR a.account_id IS NULL
UNION ALL
SELECT 'account', a.account_id, 'disabled_at', coalesce(a.disabled_at::text, 'nothing'),
       CASE WHEN a.disabled_at IS NULL THEN 'since when it is disabled' ELSE 'nothing' END || ', as events tell'
FROM account a LEFT JOIN newest n ON n.account = a.account_id
WHERE (a.disabled_at IS NOT NULL) <> (coalesce(n.action, '') = 'account.disable')
UNION ALL
SELECT 'account', a.account_id, x.what, x.found, x.expected
FROM told t JOIN account a ON a.account_id = t.account LEFT JOIN agency r ON r.agency_id = a.root_id
CROSS JOIN LATERAL (VALUES
    ('role', a.role, t.facts ->> 'role'),
    ('root_id', coalesce(r.code, 'everything'), coalesce(t.facts ->> 'subtree', 'everything'))
) AS x (what, found, expected)
WHERE t.action = 'account.add' AND t.facts IS NOT NULL AND x.found IS DISTINCT FROM x.expected;

-- name: epoch_there
-- Without its row nothing that happens is written down.
SELECT 'exchange_epoch' AS place, 'the one row' AS key, 'row' AS what, count(*) || ' rows' AS found,
       'one row: without it no event is written' AS expected
FROM exchange_epoch HAVING count(*) <> 1;

-- name: mailboxes
-- A mailbox has been made again at least as often as events tell.
SELECT 'mailbox' AS place, t.owner AS key, 'generation' AS what, coalesce(m.generation::text, 'no row') AS found,
       'at least ' || t.generation AS expected
FROM (SELECT b ->> 'owner' AS owner, max((b ->> 'generation')::int) AS generation
      FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'mailbox_reset' AND at >= $1) e
      GROUP BY 1) t
JOIN agency a ON a.code = t.owner AND a.state <> 'closed'
LEFT JOIN mailbox m ON m.owner_id = a.agency_id
WHERE coalesce(m.generation, 0) < t.generation;

-- name: event_documents
-- The column that finds a document's events names the document that the bytes name, and nothing where they name none.
-- Of an operator's action the bytes know the document's id alone; a refused status may name a document that is not there.
SELECT 'event' AS place, e.at || ' ' || e.event_id AS key, 'document_id' AS what,
       coalesce(e.document_id::text, 'nothing') AS found, coalesce(array_to_string(k.ids, ' or '), 'nothing') AS expected
FROM (SELECT at, event_id, kind, document_id, convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event
      WHERE at >= $1) e
CROSS JOIN LATERAL (SELECT CASE kind
    WHEN 'status_recorded' THEN b #> '{items,0,document}'
    WHEN 'dispatched' THEN CASE b ->> 'kind' WHEN 'document' THEN b -> 'message' END
    WHEN 'operator_action' THEN CASE WHEN b ->> 'action' LIKE 'document.%' THEN jsonb_build_object('id', b -> 'target') END
    ELSE b -> 'document' END AS named) n
CROSS JOIN LATERAL (SELECT array_agg(d.document_id) AS ids
                    FROM document d JOIN agency s ON s.agency_id = d.sender_id
                    WHERE d.id = (named ->> 'id')::uuid AND s.code = coalesce(named ->> 'from', s.code)) k
WHERE (k.ids IS NULL AND e.document_id IS NOT NULL
       AND (named IS NULL OR EXISTS (SELECT FROM document d WHERE d.document_id = e.document_id)))
   OR (e.document_id = ANY (k.ids) IS NOT TRUE AND k.ids IS NOT NULL
       AND NOT (e.document_id IS NULL AND coalesce(b #> '{items,0}' ? 'error', false)));

-- name: inline_content
-- Parts that are kept here are the bytes that their digest names.
SELECT 'content' AS place, encode(digest, 'hex') AS key, 'inline' AS what,
       encode(sha256(inline), 'hex') || ', ' || octet_length(inline) || ' bytes' AS found,
       encode(digest, 'hex') || ', ' || size || ' bytes' AS expected
FROM content
WHERE inline IS NOT NULL AND stored_at >= $1 AND (sha256(inline) <> digest OR octet_length(inline) <> size);

-- name: parts_recorded
-- Where a document's parts are kept is recorded.
SELECT 'content' AS place, encode(p.digest, 'hex') AS key, 'row' AS what, 'no row' AS found,
       'where ' || p.name || ' of document ' || s.code || ' ' || d.id || ' is kept' AS expected
FROM document_part p JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
WHERE d.accepted_at >= $1 AND NOT EXISTS (SELECT FROM content c WHERE c.digest = p.digest);

-- name: changes
-- A delivery is asked for a change by the message whose digest the row carries, since that was accepted.
SELECT 'change_request' AS place, s.code || ' ' || o.id || ' to ' || r.code AS key, x.what, x.found, x.expected
FROM change_request c JOIN document o ON o.document_id = c.document_id JOIN agency s ON s.agency_id = o.sender_id
JOIN agency r ON r.agency_id = c.recipient_id
LEFT JOIN document d ON d.document_id = c.asking_document_id
LEFT JOIN status_message m ON m.status_message_id = c.asking_status_id
CROSS JOIN LATERAL (VALUES
    ('asked_by', encode(c.asked_by, 'hex'), coalesce(encode(coalesce(d.digest, m.digest), 'hex'), 'no such message')),
    ('asked_at', c.asked_at::text, coalesce(coalesce(d.accepted_at, m.accepted_at)::text, c.asked_at::text)),
    ('kind', c.kind, coalesce(d.action, 'take-back'))
) AS x (what, found, expected)
WHERE o.accepted_at >= $1 AND x.found <> x.expected;

-- name: changes_overdue
-- An answer to a change is overdue when, and only if, an event says so.
WITH told AS (
    SELECT DISTINCT (b #>> '{document,id}')::uuid AS id, b #>> '{document,from}' AS sender, r.code AS recipient,
           (b ->> 'at')::timestamptz AS at
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'overdue' AND at >= $1) e
    CROSS JOIN LATERAL jsonb_array_elements_text(b -> 'recipients') AS r (code)
    WHERE b ->> 'what' = 'change'
), there AS (
    SELECT DISTINCT d.id, s.code AS sender, r.code AS recipient, c.overdue_at AS at
    FROM change_request c JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
    JOIN agency r ON r.agency_id = c.recipient_id
    WHERE c.overdue_at >= $1
)
SELECT 'change_request' AS place, sender || ' ' || id || ' to ' || recipient AS key, 'overdue_at' AS what,
       CASE WHEN h.one IS NULL THEN 'nothing' ELSE at::text END AS found,
       CASE WHEN t.one IS NULL THEN 'nothing: no event tells it' ELSE at::text END AS expected
FROM (SELECT *, 1 AS one FROM told) t FULL JOIN (SELECT *, 1 AS one FROM there) h USING (id, sender, recipient, at)
WHERE t.one IS NULL OR h.one IS NULL;

-- name: changes_asked
-- A change asks everybody who was told of it and has the document since it was accepted; a 13 asks whom it names. Not who had
-- refused it by then, or given it back: whoever has said 02 may have, and what was recalled before it went out may go out after
-- all (contract 3.3).
SELECT 'change_request' AS place, s.code || ' ' || o.id || ' to ' || r.code AS key, 'row' AS what, 'no row' AS found,
       'the row of what was asked by ' || encode(k.asked_by, 'hex') AS expected
FROM (SELECT c.concerned_id AS document_id, w.recipient_id, a.digest AS asked_by, a.action
      FROM document a JOIN document_concerns c ON c.document_id = a.document_id
      JOIN delivery w ON w.document_id = a.document_id AND w.moved_at IS NULL
      WHERE a.action <> 'new' AND a.accepted_at >= $1
      UNION
      SELECT e.document_id, e.recipient_id, e.digest, '13' FROM status_entry e WHERE e.code = '13' AND e.recorded_at >= $1) k
JOIN delivery v USING (document_id, recipient_id)
JOIN document o USING (document_id) JOIN agency s ON s.agency_id = o.sender_id
JOIN agency r ON r.agency_id = v.recipient_id
WHERE NOT v.recalled AND v.processing NOT IN ('refused', 'cancelled') AND v.moved_at IS NULL
  AND NOT EXISTS (SELECT FROM change_request q WHERE q.document_id = k.document_id AND q.recipient_id = k.recipient_id
                    AND (q.asked_by = k.asked_by OR (q.kind = 'recall' AND k.action <> 'recall')))
  AND NOT EXISTS (SELECT FROM status_entry e WHERE e.document_id = k.document_id AND e.recipient_id = k.recipient_id
                    AND e.code = '02')
  AND (k.action = '13' OR EXISTS (
        SELECT FROM event e CROSS JOIN LATERAL jsonb_array_elements(convert_from(e.body, 'UTF8')::jsonb -> 'recipients') n
        WHERE e.document_id = k.document_id AND e.kind = 'accepted' AND n ->> 0 = r.code));

-- name: changes_reasoned
-- What asks for a change is about the document: a recall, an update or a replacement names it, a 13 was recorded of it.
SELECT 'change_request' AS place, s.code || ' ' || o.id || ' to ' || r.code AS key, 'row' AS what, 'a row' AS found,
       'no row: ' || encode(q.asked_by, 'hex') || ' asks nothing of this document' AS expected
FROM change_request q JOIN document o USING (document_id) JOIN agency s ON s.agency_id = o.sender_id
JOIN agency r ON r.agency_id = q.recipient_id
WHERE o.accepted_at >= $1
  AND NOT EXISTS (SELECT FROM document_concerns c
                  WHERE c.document_id = q.asking_document_id AND c.concerned_id = q.document_id)
  AND NOT EXISTS (SELECT FROM status_entry e
                  WHERE e.document_id = q.document_id AND e.status_message_id = q.asking_status_id AND e.code = '13');

-- name: parts_numbered
-- A document's parts are numbered from 0 without a gap.
SELECT 'document' AS place, s.code || ' ' || d.id AS key, 'document_part' AS what,
       'ordinals ' || string_agg(p.ordinal::text, ', ' ORDER BY p.ordinal) AS found, '0 to ' || count(*) - 1 AS expected
FROM document_part p JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
WHERE d.accepted_at >= $1
GROUP BY s.code, d.id
HAVING min(p.ordinal) <> 0 OR max(p.ordinal) <> count(*) - 1;

-- name: answers
-- An answer answers something that was asked of this very delivery.
SELECT 'status_entry' AS place, m.id || ' item ' || e.item AS key, 'answers' AS what, encode(e.answers, 'hex') AS found,
       'what was asked of this delivery; for other codes than 15 and 16 nothing' AS expected
FROM status_entry e JOIN status_message m USING (status_message_id)
WHERE e.recorded_at >= $1 AND (e.answers IS NOT NULL OR e.code IN ('15', '16'))
  AND (e.code NOT IN ('15', '16') OR NOT EXISTS (
        SELECT FROM change_request q WHERE q.document_id = e.document_id AND q.recipient_id = e.recipient_id
           AND q.asked_by = e.answers));

-- name: concerned
-- What a document changes is what its acceptance names.
WITH told AS (
    SELECT DISTINCT b #>> '{document,from}' AS sender, (b #>> '{document,id}')::uuid AS id, c ->> 'digest' AS about
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'accepted' AND at >= $1) e
    CROSS JOIN LATERAL jsonb_array_elements(b -> 'concerns') AS c
), there AS (
    SELECT s.code AS sender, d.id, encode(o.digest, 'hex') AS about
    FROM document_concerns c JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
    JOIN document o ON o.document_id = c.concerned_id
    WHERE d.accepted_at >= $1
)
SELECT 'document_concerns' AS place, sender || ' ' || id || ' about ' || about AS key, 'row' AS what,
       CASE WHEN h.one IS NULL THEN 'no row' ELSE 'a row' END AS found,
       CASE WHEN h.one IS NULL THEN 'the row that its acceptance tells' ELSE 'no row: no event tells it' END AS expected
FROM (SELECT *, 1 AS one FROM told) t FULL JOIN (SELECT *, 1 AS one FROM there) h USING (sender, id, about)
WHERE t.one IS NULL OR h.one IS NULL;

-- name: imports_counted
-- What an import counts is what its events tell.
WITH said AS MATERIALIZED (
    SELECT b ->> 'revision' AS revision, b ->> 'change' AS change, jsonb_array_length(b -> 'codes') AS many, b -> 'facts' AS facts
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'directory_changed') e
    WHERE b ->> 'change' LIKE '%.imported'
), counted AS (
    SELECT DISTINCT revision, c.what, c.many::bigint
    FROM said CROSS JOIN LATERAL (VALUES ('mandates', facts ->> 'mandates'), ('mailboxes', facts ->> 'mailboxes'),
                                         ('closings', facts ->> 'closings'), ('tiers', facts ->> 'tiers'),
                                         ('superiors', facts ->> 'superiors'), ('successions', facts ->> 'successions')) AS c (what, many)
    WHERE change = 'agencies.imported' AND c.many IS NOT NULL
), told AS (
    SELECT revision, split_part(change, '.', 1) AS what,
           sum(CASE change WHEN 'mandates.imported' THEN many - 1 WHEN 'successions.imported' THEN many / 2 ELSE many END)::bigint AS many
    FROM said WHERE change <> 'agencies.imported' GROUP BY 1, 2
)
SELECT 'event' AS place, 'the import of revision ' || revision AS key, what, coalesce(t.many, 0)::text AS found,
       coalesce(c.many::text, 'nothing: no event counts them') AS expected
FROM counted c FULL JOIN told t USING (revision, what)
WHERE coalesce(t.many, 0) IS DISTINCT FROM c.many;

-- name: agencies_untold
-- No agency is there that was neither added nor imported.
WITH named AS MATERIALIZED (
    SELECT DISTINCT c.code
    FROM (SELECT convert_from(body, 'UTF8')::jsonb -> 'codes' AS codes FROM event WHERE kind = 'directory_changed') e
    CROSS JOIN LATERAL jsonb_array_elements_text(codes) AS c (code)
)
SELECT 'agency' AS place, a.code AS key, 'row' AS what, 'a row' AS found, 'no row: no event names this code' AS expected
FROM agency a LEFT JOIN named n USING (code)
WHERE n.code IS NULL;

-- name: event_agencies
-- The column that finds an agency's events names the agency that the bytes name.
SELECT 'event' AS place, e.at || ' ' || e.event_id AS key, 'agency_id' AS what, coalesce(a.code, 'nobody') AS found,
       b #>> '{codes,0}' AS expected
FROM (SELECT at, event_id, agency_id, convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event
      WHERE kind = 'directory_changed') e
LEFT JOIN agency a USING (agency_id)
WHERE (b ->> 'change' ~ '^(agency|mandate|certificate|alias)[.]' OR b ->> 'change' = 'mandates.imported')
  AND a.code IS DISTINCT FROM b #>> '{codes,0}'
UNION ALL
SELECT 'event', at || ' ' || event_id, 'agency_id', agency_id::text, 'nothing'
FROM surviving_event WHERE kind <> 'directory_changed' AND agency_id IS NOT NULL;

-- name: closings
-- An agency ends on the day that an event tells, and is marked as closed at once if that day has come. An import of before
-- told no ends of whom it named.
WITH said AS MATERIALIZED (
    SELECT b ->> 'change' AS change, b -> 'codes' AS codes, coalesce(b -> 'facts', '{}') AS facts,
           (((b ->> 'at')::timestamptz AT TIME ZONE 'UTC') + interval '7 hours')::date AS day, epoch, xid, event_id
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b, epoch, xid, event_id FROM surviving_event
          WHERE kind = 'directory_changed') e
    WHERE b ->> 'change' IN ('agency.added', 'agency.closed', 'agencies.imported', 'closings.imported')
), told AS MATERIALIZED (
    SELECT codes ->> 0 AS code, (facts ->> 'on')::date AS ends, day, epoch, xid, event_id
    FROM said WHERE change = 'agency.closed'
    UNION ALL
    SELECT codes ->> 0, (facts ->> 'until')::date, NULL, epoch, xid, event_id
    FROM said WHERE change = 'agency.added' AND facts ->> 'until' IS NOT NULL
    UNION ALL
    SELECT c.code, (facts ->> 'on')::date, day, epoch, xid, event_id
    FROM said CROSS JOIN LATERAL jsonb_array_elements_text(codes) AS c (code) WHERE change = 'closings.imported'
), newest AS (
    SELECT DISTINCT ON (code) * FROM told ORDER BY code, epoch DESC, xid DESC, event_id DESC
), silent AS (
    SELECT DISTINCT c.code FROM said CROSS JOIN LATERAL jsonb_array_elements_text(codes) AS c (code)
    WHERE change = 'agencies.imported' AND NOT facts ? 'mandates'
)
SELECT 'agency' AS place, a.code AS key, 'valid_until' AS what, a.valid_until::text AS found,
       coalesce(n.ends::text, 'nothing: no event tells it') AS expected
FROM agency a LEFT JOIN newest n USING (code)
WHERE a.valid_until IS NOT NULL
  AND NOT EXISTS (SELECT FROM told t WHERE t.code = a.code AND t.ends = a.valid_until)
  AND NOT EXISTS (SELECT FROM silent s WHERE s.code = a.code)
UNION ALL
SELECT 'agency', n.code, 'valid_until', coalesce(string_agg(coalesce(a.valid_until::text, 'nothing'), ', '), 'no row'),
       n.ends::text
FROM newest n LEFT JOIN agency a USING (code)
GROUP BY n.code, n.ends
HAVING bool_or(a.valid_until = n.ends) IS NOT TRUE
UNION ALL
SELECT 'agency', a.code, 'state', a.state, CASE a.state WHEN 'closed' THEN 'open: no event tells its end' ELSE 'closed' END
FROM agency a LEFT JOIN newest n ON n.code = a.code AND n.ends = a.valid_until
WHERE (a.state = 'closed' AND (a.valid_until IS NULL
                               OR a.valid_until > ((now() AT TIME ZONE 'UTC') + interval '7 hours')::date))
   OR (a.state <> 'closed' AND n.ends <= n.day);

-- name: mailbox_owners
-- An agency has a mailbox of its own when, and only if, the newest event about that says so. An import of before told
-- nothing of the mailboxes of whom it named.
WITH said AS MATERIALIZED (
    SELECT b ->> 'change' AS change, b -> 'codes' AS codes, coalesce(b -> 'facts', '{}') AS facts, epoch, xid, event_id
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b, epoch, xid, event_id FROM surviving_event
          WHERE kind = 'directory_changed') e
    WHERE b ->> 'change' IN ('agency.added', 'agency.mailbox', 'agencies.imported', 'mailboxes.imported')
), newest AS (
    SELECT DISTINCT ON (c.code) c.code, facts ->> 'mailbox' AS mailbox
    FROM said CROSS JOIN LATERAL jsonb_array_elements_text(codes) AS c (code)
    WHERE change <> 'agencies.imported' OR NOT facts ? 'mandates'
    ORDER BY c.code, epoch DESC, xid DESC, event_id DESC
)
SELECT 'agency' AS place, a.code AS key, 'has_mailbox' AS what, a.has_mailbox::text AS found, n.mailbox AS expected
FROM agency a JOIN newest n USING (code)
WHERE a.state <> 'closed' AND a.has_mailbox::text <> n.mailbox;

-- name: places
-- An agency's tier and superior are what the newest event about them says. A code may mean another agency later: of one that is closed any
-- event fits. Imports and additions of before told nothing of them, of whom they named.
WITH said AS MATERIALIZED (
    SELECT b ->> 'change' AS change, b -> 'codes' AS codes, coalesce(b -> 'facts', '{}') AS facts, epoch, xid, event_id
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b, epoch, xid, event_id FROM surviving_event
          WHERE kind = 'directory_changed') e
    WHERE b ->> 'change' IN ('agency.added', 'agencies.imported', 'tiers.imported', 'superiors.imported')
), told AS MATERIALIZED (
    SELECT f.fact, c.code, facts ? f.fact AS tells, coalesce(facts ->> f.fact, 'nothing') AS value,
           coalesce(facts ->> 'closed', 'false') = 'true' AS closed, epoch, xid, event_id
    FROM said CROSS JOIN (VALUES ('tier', 'tiers'), ('superior', 'superiors')) AS f (fact, counted)
    CROSS JOIN LATERAL jsonb_array_elements_text(codes) AS c (code)
    WHERE change IN ('agency.added', counted || '.imported') OR (change = 'agencies.imported' AND NOT facts ? counted)
), newest AS (
    SELECT DISTINCT ON (fact, code) * FROM told WHERE NOT closed ORDER BY fact, code, epoch DESC, xid DESC, event_id DESC
), ever AS (
    SELECT fact, code, array_agg(DISTINCT value) AS among FROM told GROUP BY fact, code HAVING bool_and(tells)
), there AS (
    SELECT a.code, a.state, x.fact, x.what, coalesce(x.value, 'nothing') AS value
    FROM agency a LEFT JOIN agency s ON s.agency_id = a.parent_id
    CROSS JOIN LATERAL (VALUES ('tier', 'tier', a.tier::text), ('superior', 'parent_id', s.code)) AS x (fact, what, value)
)
SELECT 'agency' AS place, h.code AS key, h.what, h.value AS found, n.value AS expected
FROM there h JOIN newest n USING (fact, code)
WHERE h.state <> 'closed' AND n.tells AND h.value <> n.value
UNION ALL
SELECT 'agency', h.code, h.what, h.value, array_to_string(e.among, ' or ')
FROM there h JOIN ever e USING (fact, code)
WHERE h.state = 'closed' AND h.value <> ALL (e.among);

-- name: successions
-- Who follows a closed agency, to which extent and from when, is what the newest event about the two says, and nobody does of
-- whom none tells it. Codes may mean another agency later: one row of those that fit is enough. Closings of before told no
-- extents, imports of before nothing of whom they named.
WITH said AS MATERIALIZED (
    SELECT b ->> 'change' AS change, b -> 'codes' AS codes, coalesce(b -> 'facts', '{}') AS facts,
           coalesce((b ->> 'part')::int, 1) AS part, epoch, xid, event_id
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b, epoch, xid, event_id FROM surviving_event
          WHERE kind = 'directory_changed') e
    WHERE b ->> 'change' IN ('agency.closed', 'agencies.imported', 'successions.imported')
), pairs AS (
    SELECT coalesce(facts ->> 'closed', codes ->> 0) AS former, c.code AS heir, facts ->> 'on' AS since,
           CASE WHEN NOT facts ?| ARRAY['whole', 'main-part', 'part'] THEN NULL
                WHEN p.place <= n.whole THEN 'whole' WHEN p.place <= n.whole + n.main_part THEN 'main part'
                ELSE 'part' END AS extent, epoch, xid, event_id
    FROM said CROSS JOIN LATERAL jsonb_array_elements_text(codes) WITH ORDINALITY AS c (code, place)
    CROSS JOIN LATERAL (SELECT (part - 1) * 500 + c.place - 1 AS place) AS p
    CROSS JOIN LATERAL (SELECT coalesce((facts ->> 'whole')::int, 0) AS whole,
                               coalesce((facts ->> 'main-part')::int, 0) AS main_part) AS n
    WHERE change = 'agency.closed' AND p.place > 0
    UNION ALL
    SELECT codes ->> i, codes ->> (i + 1), facts ->> 'on', replace(facts ->> 'extent', '-', ' '), epoch, xid, event_id
    FROM said CROSS JOIN LATERAL generate_series(0, jsonb_array_length(codes) - 2, 2) AS k (i)
    WHERE change = 'successions.imported'
), told AS (
    SELECT DISTINCT ON (former, heir) * FROM pairs ORDER BY former, heir, epoch DESC, xid DESC, event_id DESC
), silent AS (
    SELECT DISTINCT c.code FROM said CROSS JOIN LATERAL jsonb_array_elements_text(codes) AS c (code)
    WHERE change = 'agencies.imported' AND NOT facts ? 'successions'
), there AS (
    SELECT o.code AS former, n.code AS heir, s.extent, s.on_date::text AS since
    FROM succession s JOIN agency o ON o.agency_id = s.old_id JOIN agency n ON n.agency_id = s.new_id
), held AS (
    SELECT former, heir, t.one IS NULL AS untold, r.one IS NULL AS missing, r.extent, r.since,
           coalesce(t.extent, r.extent) AS extent_told, coalesce(t.since, r.since) AS since_told,
           bool_or(r.extent = coalesce(t.extent, r.extent) AND r.since = coalesce(t.since, r.since) AND t.one = 1)
               OVER (PARTITION BY former, heir) AS fits
    FROM (SELECT *, 1 AS one FROM told) t FULL JOIN (SELECT *, 1 AS one FROM there) r USING (former, heir)
)
SELECT 'succession' AS place, former || ' to ' || heir AS key, x.what, x.found, x.expected
FROM held
CROSS JOIN LATERAL (VALUES
    ('row', CASE WHEN missing THEN 'no row' ELSE 'a row' END, CASE WHEN untold THEN 'no row: no event tells it' ELSE 'a row' END),
    ('extent', extent, extent_told),
    ('on_date', since, since_told)
) AS x (what, found, expected)
WHERE fits IS NOT TRUE AND x.found IS DISTINCT FROM x.expected AND (x.what = 'row' OR NOT (untold OR missing))
  AND NOT (untold AND EXISTS (SELECT FROM silent s WHERE s.code = former));

-- name: suspensions
-- An agency is suspended when, and only if, the newest event about that says so.
WITH told AS (
    SELECT DISTINCT ON (agency_id) agency_id, b ->> 'change' AS change
    FROM (SELECT agency_id, convert_from(body, 'UTF8')::jsonb AS b, at FROM surviving_event
          WHERE kind = 'directory_changed' AND agency_id IS NOT NULL) e
    WHERE b ->> 'change' IN ('agency.suspended', 'agency.resumed')
    ORDER BY agency_id, at DESC
)
SELECT 'agency' AS place, a.code AS key, 'state' AS what, a.state AS found,
       CASE a.state WHEN 'suspended' THEN 'active' ELSE 'suspended' END || ', as events tell' AS expected
FROM agency a LEFT JOIN told t USING (agency_id)
WHERE a.state <> 'closed' AND (a.state = 'suspended') <> (coalesce(t.change, '') = 'agency.suspended');

-- name: promises_noticed
-- What the exchange has promised of a document's acceptance is what its signed notice says.
WITH noticed AS (
    SELECT i #>> '{concerns,from}' AS sender, i #>> '{concerns,digest}' AS digest, i ->> 'leaf' AS leaf,
           (i ->> 'log_by')::timestamptz AS log_by
    FROM (SELECT convert_from(notice, 'UTF8')::jsonb ->> 'payload' AS p FROM outgoing
          WHERE kind = 'notice' AND created_at >= $1) o
    CROSS JOIN LATERAL (SELECT convert_from(decode(rpad(translate(p, '-_', '+/'), (length(p) + 3) / 4 * 4, '='), 'base64'),
                                            'UTF8')::jsonb AS m) n
    CROSS JOIN LATERAL jsonb_array_elements(m -> 'items') AS i
    WHERE i ->> 'event' = 'accepted' AND i ->> 'log_by' IS NOT NULL
)
SELECT DISTINCT 'document' AS place, s.code || ' ' || d.id AS key, x.what, x.found, x.expected
FROM noticed n JOIN document d ON encode(d.digest, 'hex') = n.digest
JOIN agency s ON s.agency_id = d.sender_id AND s.code = n.sender
CROSS JOIN LATERAL (VALUES
    ('log_by', d.log_by::text, n.log_by::text),
    ('leaf', encode(d.leaf, 'hex'), n.leaf)
) AS x (what, found, expected)
WHERE x.found IS DISTINCT FROM x.expected;

-- name: promises_kept
-- What slips and notices promised was under a signature by then (contract §9): the first checkpoint over each event was
-- recorded in time. What a restore put at its place again had been signed before, by a checkpoint that is lost here.
WITH promised AS (
    SELECT leaf, log_by FROM document WHERE accepted_at >= $1
    UNION ALL
    SELECT leaf, log_by FROM status_message WHERE accepted_at >= $1
), restored AS (
    SELECT origin, least(first, coalesce((SELECT max(c.size) FROM checkpoint c JOIN log_origin o USING (origin_id)
                                          WHERE o.origin = r.origin AND c.size <= first), 0)) AS first, after
    FROM (SELECT split_part(target, ':', 1) AS origin, split_part(split_part(target, ':', 2), '-', 1)::bigint AS first,
                 split_part(split_part(target, ':', 2), '-', 2)::bigint AS after
          FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM event WHERE kind = 'operator_action') e
          CROSS JOIN LATERAL (SELECT b ->> 'target' AS target) t
          WHERE b ->> 'action' = 'database.restored' AND target LIKE '%:%-%') r
), placed AS (
    SELECT p.log_by, o.origin, l.position, c.size, c.at
    FROM promised p JOIN event e ON e.leaf = p.leaf
    LEFT JOIN log_entry l ON l.event_at = e.at AND l.event_id = e.event_id
    LEFT JOIN log_origin o USING (origin_id)
    LEFT JOIN LATERAL (SELECT c.size, c.at FROM checkpoint c WHERE c.origin_id = l.origin_id AND c.size > l.position
                       ORDER BY c.size LIMIT 1) c ON true
)
SELECT 'checkpoint' AS place, coalesce(origin || ' size ' || size, 'none yet') AS key, 'at' AS what,
       coalesce(at::text, 'no signature') || ' over ' || count(*) || ' messages that were promised one before' AS found,
       'at the latest ' || min(log_by) || ', as slips and notices promised' AS expected
FROM placed p
WHERE coalesce(at, now()) > log_by
  AND NOT EXISTS (SELECT FROM restored r WHERE r.origin = p.origin AND p.position >= r.first AND p.position < r.after)
GROUP BY origin, size, at;

-- name: put_back
-- Every event that counts as lost in a restore lies where an operator put entries back.
SELECT 'log_put_back' AS place, o.origin || ' position ' || b.position AS key, 'row' AS what, 'a row' AS found,
       'no row: no event tells of a restore that put it back' AS expected
FROM log_put_back b LEFT JOIN log_origin o USING (origin_id)
WHERE NOT EXISTS (
    SELECT FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM event WHERE kind = 'operator_action') e
    WHERE e.b ->> 'action' = 'database.restored' AND e.b ->> 'target' LIKE o.origin || ':%'
      AND b.position >= split_part(split_part(e.b ->> 'target', ':', 2), '-', 1)::bigint
      AND b.position < split_part(split_part(e.b ->> 'target', ':', 2), '-', 2)::bigint);

-- name: directory_told
-- What the directory's events tell, in their order; for a comparison outside the database.
SELECT body FROM surviving_event WHERE kind = 'directory_changed' ORDER BY epoch, xid, event_id;

-- name: mandates_known
-- Mandates as their rows have them; for a comparison outside the database.
SELECT h.code AS hub, a.code AS agency, m.may_sign, m.valid_from, m.valid_until
FROM mandate m JOIN agency h ON h.agency_id = m.hub_id JOIN agency a ON a.agency_id = m.agency_id;

-- name: quarantined
-- Quarantined messages, whole, and what the columns say of them; for a comparison outside the database.
SELECT at, code, kind, claimed_from, id, digest, number, notation, body FROM rejection
WHERE quarantined AND at >= $1 ORDER BY rejection_id;

-- name: signed_documents
-- Documents with their signed bytes and what the columns say about those; for a comparison outside the database.
SELECT d.document_id, s.code AS sender, d.id, d.digest, d.jws, d.action, d.priority, d.test, d.number, d.notation,
       d.issued_on, d.type, d.subject, d.natural_key, d.sent_at, d.via, d.thumbprint, d.accepted_at, c.der,
       (SELECT array_agg(p.name ORDER BY p.ordinal) FROM document_part p WHERE p.document_id = d.document_id) AS parts
FROM document d JOIN agency s ON s.agency_id = d.sender_id LEFT JOIN certificate c USING (thumbprint)
WHERE d.accepted_at >= $1 ORDER BY d.document_id;

-- name: signed_statuses
-- Status messages with their signed bytes, and the entries that came in them. Entries have no index by message: they are
-- sorted once.
WITH came AS (
    SELECT e.status_message_id, jsonb_agg(jsonb_build_array(e.item, e.code, e.reason, e.staff, e.at, o.id)) AS entries
    FROM status_entry e JOIN document o USING (document_id)
    GROUP BY e.status_message_id
)
SELECT m.status_message_id, s.code AS sender, m.id, m.digest, m.jws, m.sent_at, m.thumbprint, m.accepted_at, c.der,
       o.code AS concerned, k.entries
FROM status_message m JOIN agency s ON s.agency_id = m.sender_id LEFT JOIN certificate c USING (thumbprint)
LEFT JOIN agency o ON o.agency_id = m.concerns_sender_id
LEFT JOIN came k USING (status_message_id)
WHERE m.accepted_at >= $1 ORDER BY m.status_message_id;

-- name: delivery_facts
-- Deliveries with everything their states are computed from.
SELECT s.code AS sender, d.id, r.code AS recipient, v.processing, v.recalled, v.anomalous, v.arrived_at, v.closed_at,
       v.moved_at, v.dispatched_at, v.dispatched_at IS NOT NULL AS dispatched,
       (SELECT array_agg(ROW(e.code, e.at, e.digest, e.answers, e.anomalous)) FROM status_entry e
        WHERE e.document_id = v.document_id AND e.recipient_id = v.recipient_id) AS facts,
       (SELECT array_agg(ROW(c.asked_by, c.kind, c.state, c.answered_at, c.asked_at)) FROM change_request c
        WHERE c.document_id = v.document_id AND c.recipient_id = v.recipient_id) AS changes
FROM delivery v JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
JOIN agency r ON r.agency_id = v.recipient_id
WHERE d.accepted_at >= $1;
