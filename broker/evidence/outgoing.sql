-- What leaves, and the deliveries that it carries, against the events that tell of them; as in records.sql.

-- name: deliveries
-- A document has a delivery for each recipient that its acceptance (or an update that adds it) names, and for each successor
-- of a closed one that an event names: to the owner, until when, and as the sender wrote it, as the event says. Events of
-- before told owners alone, and of those whom an update added nothing.
WITH accepted AS MATERIALIZED (
    SELECT d.document_id, e.b
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'accepted' AND at >= $1) e
    JOIN document d ON d.id = (e.b #>> '{document,id}')::uuid AND encode(d.digest, 'hex') = e.b #>> '{document,digest}'
    JOIN agency s ON s.agency_id = d.sender_id AND s.code = e.b #>> '{document,from}'
), named AS (
    SELECT document_id, b -> 'recipients' AS recipients, b -> 'addressed' AS addressed, (b ->> 'due_arrival')::timestamptz AS due
    FROM accepted
    UNION ALL
    SELECT c.concerned_id, b #> '{added,recipients}', b #> '{added,addressed}', (b ->> 'due_arrival')::timestamptz
    FROM accepted a JOIN document_concerns c USING (document_id) JOIN document o ON o.document_id = c.concerned_id
    WHERE b ? 'added' AND o.accepted_at >= $1
), told AS (
    SELECT document_id, k.r ->> 0 AS recipient, k.r ->> 1 AS owner, due, coalesce(k.written, '') AS written
    FROM named
    CROSS JOIN LATERAL ROWS FROM (
        jsonb_array_elements(recipients),
        unnest(ARRAY(SELECT w ->> 0 FROM jsonb_array_elements(addressed) WITH ORDINALITY AS a (w, n),
                                         generate_series(1, least((w ->> 1)::int, 500))
                     ORDER BY n))) AS k (r, written)
    WHERE k.r IS NOT NULL
    UNION ALL
    SELECT d.document_id, m #>> '{successors,0}', m ->> 'owner', (m ->> 'due_arrival')::timestamptz,
           CASE WHEN f.addressed_as = m #>> '{successors,0}' THEN ''
                ELSE left(encode(sha256(convert_to(f.addressed_as, 'UTF8')), 'hex'), 32) END
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'rerouted' AND at >= $1) e
    CROSS JOIN LATERAL jsonb_array_elements(e.b -> 'deliveries') m
    JOIN document d ON d.id = (e.b #>> '{document,id}')::uuid AND encode(d.digest, 'hex') = e.b #>> '{document,digest}'
    JOIN agency s ON s.agency_id = d.sender_id AND s.code = e.b #>> '{document,from}'
    LEFT JOIN LATERAL (SELECT v.addressed_as FROM delivery v JOIN agency r ON r.agency_id = v.recipient_id
                       WHERE v.document_id = d.document_id AND r.code = m ->> 'closed'
                       ORDER BY v.moved_at IS NULL LIMIT 1) f ON true
    WHERE m ? 'owner' AND d.accepted_at >= $1
    UNION ALL
    SELECT c.concerned_id, r ->> 0, NULL, NULL, NULL
    FROM accepted a JOIN document_concerns c USING (document_id) CROSS JOIN LATERAL jsonb_array_elements(b -> 'recipients') r
    WHERE b ->> 'action' = 'update' AND NOT b ? 'due_arrival'
), wanted AS (
    SELECT document_id, recipient, array_agg(owner) FILTER (WHERE owner IS NOT NULL) AS owners,
           array_agg(due) AS dues, array_agg(written) AS writtens, bool_or(due IS NULL) AS silent
    FROM told GROUP BY 1, 2
), there AS (
    SELECT v.document_id, r.code AS recipient, o.code AS owner, v.due_arrival AS due, v.addressed_as,
           CASE WHEN v.addressed_as = r.code THEN ''
                ELSE left(encode(sha256(convert_to(v.addressed_as, 'UTF8')), 'hex'), 32) END AS written
    FROM delivery v JOIN document d USING (document_id)
    JOIN agency r ON r.agency_id = v.recipient_id JOIN agency o ON o.agency_id = v.owner_id
    WHERE d.accepted_at >= $1
)
SELECT 'delivery' AS place, s.code || ' ' || d.id || ' to ' || recipient AS key, x.what, x.found, x.expected
FROM wanted w FULL JOIN there h USING (document_id, recipient)
JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
CROSS JOIN LATERAL (VALUES
    ('row', CASE WHEN h.owner IS NULL THEN 'no row' ELSE 'a row' END,
     CASE WHEN w.writtens IS NULL THEN 'no row: no event names this recipient' ELSE 'the delivery that was accepted' END,
     (h.owner IS NOT NULL AND w.writtens IS NOT NULL) OR (h.owner IS NULL AND w.owners IS NULL)),
    ('owner_id', h.owner, array_to_string(w.owners, ' or '), h.owner = ANY (w.owners)),
    ('due_arrival', h.due::text, array_to_string(w.dues, ' or '), w.silent OR h.due = ANY (w.dues)),
    ('addressed_as', h.addressed_as,
     'what its acceptance tells: ' || CASE w.writtens[1] WHEN '' THEN recipient ELSE 'a text of digest ' || w.writtens[1] || '…' END,
     w.silent OR h.written = ANY (w.writtens))
) AS x (what, found, expected, fits)
WHERE NOT coalesce(x.fits, true);

-- name: dispatches
-- A delivery went out when, and as often as, events say so. What was recorded in one go counts as one sending: at least as
-- many as there are times, and at most as many as there are events. The last to be recorded need not be the latest.
WITH handed AS (
    SELECT (b #>> '{message,id}')::uuid AS id, b #>> '{message,from}' AS sender, r.code AS recipient,
           min((b ->> 'at')::timestamptz) AS at, count(*) AS many, array_agg((b ->> 'at')::timestamptz) AS ats
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'dispatched' AND at >= $1) e
    CROSS JOIN LATERAL jsonb_array_elements_text(coalesce(b -> 'recipients', b -> 'owners')) AS r (code)
    WHERE b ->> 'kind' = 'document'
    GROUP BY 1, 2, 3
), there AS (
    SELECT v.document_id, d.id, s.code AS sender, r.code AS recipient, v.dispatched_at AS at, v.sends, v.last_sent_at
    FROM delivery v JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
    JOIN agency r ON r.agency_id = v.recipient_id
    WHERE d.accepted_at >= $1
)
SELECT 'delivery' AS place, t.sender || ' ' || t.id || ' to ' || t.recipient AS key, x.what,
       coalesce(x.found, 'nothing') AS found, coalesce(x.expected, 'nothing: no event tells it') AS expected
FROM there t LEFT JOIN handed h USING (id, sender, recipient)
CROSS JOIN LATERAL (VALUES
    ('dispatched_at', t.at::text, h.at::text, t.at IS NOT DISTINCT FROM h.at),
    ('sends', t.sends::text, coalesce(h.many, 0)::text,
     t.sends = coalesce(h.many, 0)
     OR (t.sends < h.many AND t.sends >= (SELECT count(DISTINCT a) FROM unnest(h.ats) AS k (a)))),
    ('last_sent_at', t.last_sent_at::text, (SELECT max(a) FROM unnest(h.ats) AS k (a))::text,
     CASE WHEN h.ats IS NULL THEN t.last_sent_at IS NULL ELSE coalesce(t.last_sent_at = ANY (h.ats), false) END)
) AS x (what, found, expected, fits)
WHERE CASE WHEN x.fits THEN false
           -- Two agencies may have had one code, one after the other: events do not tell their deliveries apart.
           ELSE (SELECT count(*) = 1 FROM delivery v JOIN agency r ON r.agency_id = v.recipient_id
                 WHERE v.document_id = t.document_id AND r.code = t.recipient) END;

-- name: outgoing_left
-- What has left, left when an event says so, to whom it says; and everything of which an event says so is here. A copy for
-- which nobody was left any more counts as done and leaves no event. A replay of a status or a notice has no row of its own.
WITH told AS MATERIALIZED (
    SELECT at AS event_at, event_id, b ->> 'kind' AS kind, b #>> '{message,digest}' AS digest, b -> 'message' AS message,
           (b ->> 'attempt')::int AS attempt, (b ->> 'at')::timestamptz AS at,
           ARRAY(SELECT jsonb_array_elements_text(b -> 'owners')) AS owners,
           ARRAY(SELECT jsonb_array_elements_text(coalesce(b -> 'recipients', b -> 'owners'))) AS recipients
    FROM (SELECT at, event_id, convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event
          WHERE kind = 'dispatched' AND at >= $1) e
), there AS MATERIALIZED (
    SELECT o.outgoing_id, o.kind, o.attempt, o.published_at, o.document_id,
           coalesce(o.recipient_ids, o.owner_ids) AS recipient_ids,
           encode(coalesce(d.digest, m.digest, n.digest), 'hex') AS digest,
           ARRAY(SELECT a.code FROM agency a WHERE a.agency_id = ANY (o.owner_ids)) AS owners,
           ARRAY(SELECT a.code FROM agency a WHERE a.agency_id = ANY (coalesce(o.recipient_ids, o.owner_ids))) AS recipients
    FROM outgoing o LEFT JOIN document d USING (document_id) LEFT JOIN status_message m USING (status_message_id)
    LEFT JOIN LATERAL (SELECT convert_from(o.notice, 'UTF8')::jsonb ->> 'payload' AS p) q ON true
    LEFT JOIN LATERAL (SELECT sha256(decode(rpad(translate(p, '-_', '+/'), (length(p) + 3) / 4 * 4, '='), 'base64')) AS digest) n ON true
), gone AS (
    SELECT h.outgoing_id, h.kind, h.document_id, h.recipient_ids, h.digest, h.attempt, h.published_at, h.owners,
           bool_or(t.at = h.published_at) AS timed,
           bool_or(t.at = h.published_at AND t.attempt = h.attempt) AS counted,
           bool_or(t.at = h.published_at AND t.attempt = h.attempt AND t.owners <@ h.owners) AS addressed,
           bool_or(t.at = h.published_at AND t.attempt = h.attempt AND t.owners <@ h.owners
                   AND t.recipients <@ h.recipients AND (h.kind = 'document' OR h.owners <@ t.owners)) AS fits
    FROM there h LEFT JOIN told t USING (kind, digest)
    WHERE h.published_at >= $1
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
)
SELECT 'outgoing' AS place, outgoing_id || ': ' || kind || ' ' || digest AS key,
       CASE WHEN timed IS NOT TRUE THEN 'published_at' WHEN counted IS NOT TRUE THEN 'attempt'
            WHEN addressed IS TRUE AND kind = 'document' THEN 'recipient_ids' ELSE 'owner_ids' END AS what,
       CASE WHEN timed IS NOT TRUE THEN published_at::text WHEN counted IS NOT TRUE THEN attempt::text
            ELSE array_to_string(owners[:20], ', ') END AS found,
       'what an event tells: none fits' AS expected
FROM gone g
WHERE fits IS NOT TRUE
  AND NOT (kind = 'document' AND NOT EXISTS (
        SELECT FROM delivery v JOIN document d USING (document_id)
        WHERE v.document_id = g.document_id AND v.recipient_id = ANY (g.recipient_ids) AND d.action <> 'recall'
          AND v.closed_at IS NULL AND NOT v.recalled AND v.processing NOT IN ('refused', 'cancelled')
          AND NOT EXISTS (SELECT FROM change_request q WHERE q.document_id = v.document_id
                            AND q.recipient_id = v.recipient_id AND q.kind = 'recall')))
UNION ALL
SELECT 'outgoing', t.kind || ' ' || (t.message ->> 'from') || ' ' || (t.message ->> 'id') || ' to ' ||
       array_to_string(t.owners[:5], ', ') || ', attempt ' || t.attempt,
       CASE WHEN bool_or((h.attempt = t.attempt OR (h.attempt < t.attempt AND t.kind <> 'document')) AND t.owners <@ h.owners AND t.recipients <@ h.recipients)
            THEN 'published_at' ELSE 'row' END,
       CASE WHEN bool_or((h.attempt = t.attempt OR (h.attempt < t.attempt AND t.kind <> 'document')) AND t.owners <@ h.owners AND t.recipients <@ h.recipients)
            THEN 'nothing' ELSE 'no row' END,
       'what left at ' || t.at
FROM told t LEFT JOIN there h USING (kind, digest)
GROUP BY t.event_at, t.event_id, t.kind, t.message, t.owners, t.attempt, t.at
HAVING bool_or((h.attempt = t.attempt OR (h.attempt < t.attempt AND t.kind <> 'document')) AND t.owners <@ h.owners AND t.recipients <@ h.recipients
               AND h.published_at IS NOT NULL) IS NOT TRUE;

-- name: outgoing_to
-- A copy of a document goes to the mailbox that the delivery names, for each recipient that it is for.
SELECT 'outgoing' AS place, o.outgoing_id || ': document ' || s.code || ' ' || d.id AS key,
       CASE WHEN o.recipient_ids IS NULL THEN 'owner_ids' ELSE 'recipient_ids' END AS what,
       coalesce(r.code, k.id::text) AS found,
       coalesce('a recipient whose mailbox this copy goes to: its owner is ' || w.code, 'a recipient of the document') AS expected
FROM outgoing o JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
CROSS JOIN LATERAL unnest(coalesce(o.recipient_ids, o.owner_ids)) AS k (id)
LEFT JOIN delivery v ON v.document_id = o.document_id AND v.recipient_id = k.id
LEFT JOIN agency r ON r.agency_id = k.id LEFT JOIN agency w ON w.agency_id = v.owner_id
WHERE o.created_at >= $1
  AND (v.owner_id = CASE WHEN o.recipient_ids IS NULL THEN k.id WHEN cardinality(o.owner_ids) = 1 THEN o.owner_ids[1] END) IS NOT TRUE;

-- name: carried
-- Every delivery of a new document has, or had, something that carries it.
SELECT 'outgoing' AS place, s.code || ' ' || d.id || ' to ' || r.code AS key, 'row' AS what, 'no row' AS found,
       'the copy for this recipient' AS expected
FROM delivery v JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id
JOIN agency r ON r.agency_id = v.recipient_id
LEFT JOIN (SELECT o.document_id, k.id AS recipient_id FROM outgoing o
           CROSS JOIN LATERAL unnest(coalesce(o.recipient_ids, o.owner_ids)) AS k (id)
           WHERE o.kind = 'document') c USING (document_id, recipient_id)
WHERE d.action = 'new' AND d.accepted_at >= $1 AND c.document_id IS NULL;

-- name: forwarded
-- A status message is forwarded to whom its events tell, and a take-back besides to whom a delivery has moved. Events of
-- before did not tell it.
WITH told AS (
    SELECT m.status_message_id, b #>> '{message,from}' AS sender, b #>> '{message,id}' AS id, f.written
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'status_recorded' AND at >= $1) e
    JOIN agency s ON s.code = b #>> '{message,from}'
    JOIN status_message m ON m.id = (b #>> '{message,id}')::uuid AND m.sender_id = s.agency_id
    LEFT JOIN LATERAL jsonb_array_elements_text(b -> 'forwards') AS f (written) ON true
    WHERE b ? 'forwards'
    GROUP BY 1, 2, 3, 4
), there AS (
    SELECT o.outgoing_id, o.status_message_id, o.owner_ids, w.owners,
           left(encode(sha256(convert_to(w.owners, 'UTF8')), 'hex'), 32) AS written
    FROM outgoing o
    CROSS JOIN LATERAL (SELECT string_agg(a.code, ' ' ORDER BY k.n) AS owners
                        FROM unnest(o.owner_ids) WITH ORDINALITY AS k (id, n) JOIN agency a ON a.agency_id = k.id) w
    WHERE o.kind = 'status' AND o.created_at >= $1
)
SELECT 'outgoing' AS place, 'status ' || sender || ' ' || id AS key, 'row' AS what, 'no row to the mailboxes told' AS found,
       'the forwarded message, as its event tells' AS expected
FROM told t LEFT JOIN there h USING (status_message_id, written)
WHERE t.written IS NOT NULL AND h.outgoing_id IS NULL
UNION ALL
SELECT 'outgoing', h.outgoing_id || ': status ' || k.sender || ' ' || k.id, 'owner_ids', left(h.owners, 200),
       'mailboxes that the message''s event tells'
FROM there h JOIN (SELECT DISTINCT status_message_id, sender, id FROM told) k USING (status_message_id)
LEFT JOIN told t USING (status_message_id, written)
WHERE t.status_message_id IS NULL
  AND NOT EXISTS (SELECT FROM change_request q JOIN delivery v USING (document_id, recipient_id)
                  WHERE q.asking_status_id = h.status_message_id AND v.owner_id = ANY (h.owner_ids));

-- name: notices_owed
-- Who was to be told of what an event tells has a notice that tells it. Events of before did not say who was.
WITH said AS MATERIALIZED (
    SELECT o.outgoing_id, a.code AS owner, i ->> 'event' AS event, (i ->> 'at')::timestamptz AS at,
           i #>> '{concerns,digest}' AS digest
    FROM (SELECT outgoing_id, owner_ids, convert_from(notice, 'UTF8')::jsonb ->> 'payload' AS p FROM outgoing
          WHERE kind = 'notice' AND created_at >= $1) o
    LEFT JOIN agency a ON a.agency_id = o.owner_ids[1]
    CROSS JOIN LATERAL (SELECT convert_from(decode(rpad(translate(p, '-_', '+/'), (length(p) + 3) / 4 * 4, '='), 'base64'),
                                            'UTF8')::jsonb AS m) n
    CROSS JOIN LATERAL jsonb_array_elements(m -> 'items') AS i
), owed AS (
    SELECT kind, (b ->> 'at')::timestamptz AS at, b ->> 'notice' AS owner,
           coalesce(b #>> '{document,digest}', b #>> '{message,digest}', b ->> 'digest') AS digest,
           CASE WHEN kind = 'accepted' THEN 'accepted' WHEN kind = 'status_recorded' OR b ? 'items' THEN 'status-refused'
                WHEN kind = 'overdue' THEN 'overdue'
                WHEN kind = 'rerouted' THEN CASE b #>> '{deliveries,0,moved}' WHEN 'true' THEN 'rerouted' ELSE 'overdue' END
                WHEN (b ->> 'quarantined')::boolean THEN 'quarantined' ELSE 'rejected' END AS event
    FROM (SELECT kind, convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event
          WHERE kind IN ('accepted', 'rejected', 'status_recorded', 'overdue', 'rerouted') AND at >= $1) e
    WHERE b ? 'notice'
    GROUP BY 1, 2, 3, 4, 5
)
SELECT 'outgoing' AS place, 'notice to ' || o.owner || ': ' || o.event || ' at ' || o.at || coalesce(' ' || o.digest, '') AS key,
       CASE WHEN count(s.outgoing_id) = 0 THEN 'row' ELSE 'owner_ids' END AS what,
       coalesce(string_agg(DISTINCT s.outgoing_id || ' to ' || s.owner, ', '), 'no row') AS found,
       'the notice to ' || o.owner AS expected
FROM owed o LEFT JOIN said s ON s.at = o.at AND s.event = o.event AND coalesce(s.digest, o.digest, '') = coalesce(o.digest, '')
GROUP BY o.kind, o.at, o.owner, o.digest, o.event
HAVING bool_or(s.owner = o.owner) IS NOT TRUE;

-- name: notices_once
-- A notice is sent in one row, decided when it was signed.
SELECT 'outgoing' AS place, string_agg(outgoing_id::text, ' and ' ORDER BY outgoing_id) AS key, 'notice' AS what,
       count(*) || ' rows' AS found, 'one row: a notice leaves once' AS expected
FROM outgoing WHERE kind = 'notice' AND created_at >= $1
GROUP BY sha256(notice) HAVING count(*) > 1;

-- name: settled
-- A quarantined message is settled when, and only if, an event says that an operator has.
WITH told AS (
    SELECT (b ->> 'at')::timestamptz AS at, b ->> 'target' AS target
    FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'operator_action' AND at >= $1) e
    WHERE b ->> 'action' = 'quarantine.settle'
), there AS (
    SELECT rejection_id, at AS refused_at, code, settled_at AS at, coalesce(encode(digest, 'hex'), rejection_id::text) AS target
    FROM rejection WHERE settled_at >= $1
)
SELECT 'rejection' AS place, coalesce(h.refused_at || ' ' || h.code, t.target) AS key, 'settled_at' AS what,
       CASE WHEN h.rejection_id IS NULL THEN 'nothing' ELSE at::text END AS found,
       CASE WHEN t.one IS NULL THEN 'nothing: no event tells it' ELSE at::text END AS expected
FROM (SELECT *, 1 AS one FROM told) t FULL JOIN there h USING (at, target)
WHERE (t.one IS NULL) <> (h.rejection_id IS NULL);

-- name: refusals
-- Refusals by what their events have always told of them, with everything else that the events tell and that the rows say;
-- for a comparison outside the database. `loose`: an event of before stands for all refused items of a status message.
WITH said AS (
    SELECT kind, convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event
    WHERE kind IN ('rejected', 'status_recorded') AND at >= $1
), told AS (
    SELECT (b ->> 'at')::timestamptz AS at, i.error AS code, i.digest, i.who, i.quarantined, count(*) AS many,
           jsonb_agg(i.row) AS told
    FROM said CROSS JOIN LATERAL (
        SELECT b ->> 'error' AS error, coalesce(b ->> 'digest', '') AS digest, coalesce(b ->> 'amqp_user', '') AS who,
               (b ->> 'quarantined')::boolean AS quarantined, b -> 'row' AS row
        WHERE kind = 'rejected' AND NOT b ? 'items'
        UNION ALL
        SELECT k ->> 'error', coalesce(b #>> '{message,digest}', b ->> 'digest', ''),
               coalesce(b ->> 'submitter', b ->> 'amqp_user', ''), false,
               CASE WHEN b ? 'row' THEN (b -> 'row') || jsonb_build_object('detail', k -> 'detail', 'plain', jsonb_build_object(
                   'kind', 'status', 'claimed_from', coalesce(b #>> '{message,from}', b ->> 'claimed_from'),
                   'id', coalesce(b #>> '{message,id}', b ->> 'id'))) END
        FROM jsonb_array_elements(b -> 'items') k WHERE k ? 'error'
    ) i
    GROUP BY 1, 2, 3, 4, 5
), loose AS (
    SELECT DISTINCT (b ->> 'at')::timestamptz AS at, b ->> 'digest' AS digest FROM said
    WHERE kind = 'rejected' AND b ->> 'kind' = 'status' AND NOT b ? 'row'
), there AS (
    SELECT at, code, coalesce(encode(digest, 'hex'), '') AS digest,
           CASE WHEN length(amqp_user) <= 35 AND amqp_user COLLATE "C" ~ '^[0-9A-Z]+([.][0-9A-Z]+)*$' THEN amqp_user ELSE '' END AS who,
           quarantined, count(*) AS many,
           array_agg(ROW(amqp_user, kind, claimed_from, id, digest, message_id, detail::text, verdict::text, body, number,
                         notation) ORDER BY rejection_id) AS rows
    FROM rejection WHERE at >= $1
    GROUP BY 1, 2, 3, 4, 5
)
SELECT at, code, digest, who, coalesce(t.many, 0) AS told_many, coalesce(h.many, 0) AS many, t.told::text AS told, h.rows,
       l.at IS NOT NULL AS loose
FROM told t FULL JOIN there h USING (at, code, digest, who, quarantined) LEFT JOIN loose l USING (at, digest)
ORDER BY at;

-- name: texts_told
-- Documents of which an acceptance tells digests of texts, or that have such texts although it tells none.
SELECT s.code AS sender, d.id, d.unresolved::text AS unresolved, d.warnings::text AS warnings,
       b ->> 'unresolved_sha256' AS unresolved_sha256, b ->> 'warnings_sha256' AS warnings_sha256
FROM (SELECT convert_from(body, 'UTF8')::jsonb AS b FROM surviving_event WHERE kind = 'accepted' AND at >= $1) e
JOIN document d ON d.id = (b #>> '{document,id}')::uuid
JOIN agency s ON s.agency_id = d.sender_id AND s.code = b #>> '{document,from}'
WHERE b ? 'due_arrival' AND coalesce((b ->> 'part')::int, 1) = 1
  AND (b ?| ARRAY['unresolved_sha256', 'warnings_sha256'] OR d.unresolved <> '[]' OR d.warnings <> '[]');

-- name: signed_notices
-- Notices with who signed them and what the row says beside; for a comparison outside the database.
SELECT o.outgoing_id, o.notice, o.created_at FROM outgoing o WHERE o.kind = 'notice' AND o.created_at >= $1
ORDER BY o.outgoing_id;

-- name: certificates_known
-- Certificates, to verify what is signed with them.
SELECT thumbprint, der FROM certificate WHERE thumbprint = ANY ($1::bytea[]);
