-- What systems of the REST façade have submitted, fetched and wished, against documents, statuses, refusals, deliveries and
-- events; docs/decisions/0026. Reads only; `$1` is the time since when rows were made.

-- name: names
-- Everything that an agency is or was called.
SELECT code AS name, agency_id FROM agency UNION SELECT alias, agency_id FROM agency_code;

-- name: packets
-- Packets with what they name. A delivery is found by its recipient's code, too: a code may have had two agencies, one after
-- the other.
WITH refused AS (
    SELECT v.system_id, v.from_id, coalesce(v.edxml_id, v.doc_id::text) AS named, array_agg(k.code) AS codes,
           sha256(convert_to('rejection:' || v.submission_id || ':' || encode(k.digest, 'hex'), 'UTF8')) AS source
    FROM vxp_submission v JOIN vxp_system y USING (system_id)
    CROSS JOIN LATERAL (SELECT v.digest, v.error
                        UNION SELECT r.digest, r.code FROM rejection r WHERE r.id = v.doc_id::text AND r.digest IS NOT NULL
                        UNION SELECT m.digest, m.refused_items -> 0 ->> 'error' FROM status_message m
                        WHERE m.sender_id = y.hub_id AND m.id = v.doc_id) k (digest, code)
    WHERE v.kind <> 'arrival'
    GROUP BY v.submission_id, k.digest
)
SELECT p.doc_id, p.system_id, y.name AS system, h.code AS hub, p.agency_id, t.code AS agency, p.from_id, f.code AS "from",
       p.kind, p.file, p.edxml_id, p.source, p.item, p.state, p.fails, p.fail_reason, p.arrival_id, p.available_at, p.updated_at,
       p.state IN ('waiting', 'processing') AND p.available_at > p.updated_at + interval '7 days' AS kept_back,
       p.updated_at > now() + interval '1 day' AS ahead,
       d.digest, d.sender_id, s.code AS sender, o.code AS owner, m.jws,
       k.system_id AS refused_system, k.from_id AS refused_from, k.named AS refused_named, k.codes AS refused_codes,
       CASE WHEN p.kind = 'edoc' THEN coalesce(v.owner_id = y.hub_id, false) OR EXISTS (
                SELECT FROM delivery x JOIN agency r ON r.agency_id = x.recipient_id JOIN agency w ON w.agency_id = x.owner_id
                WHERE x.document_id = p.document_id AND r.code = t.code AND w.code = h.code)
            WHEN m.status_message_id IS NOT NULL THEN EXISTS (
                SELECT FROM outgoing g JOIN agency w ON w.agency_id = ANY (g.owner_ids)
                WHERE g.status_message_id = m.status_message_id AND w.code = h.code)
       END AS addressed
FROM vxp_packet p JOIN vxp_system y USING (system_id) JOIN agency h ON h.agency_id = y.hub_id
JOIN agency t ON t.agency_id = p.agency_id JOIN agency f ON f.agency_id = p.from_id
LEFT JOIN document d USING (document_id) LEFT JOIN agency s ON s.agency_id = d.sender_id
LEFT JOIN delivery v ON v.document_id = p.document_id AND v.recipient_id = p.agency_id
LEFT JOIN agency o ON o.agency_id = v.owner_id
LEFT JOIN status_message m ON p.kind = 'status' AND m.digest = p.source
LEFT JOIN refused k ON p.kind = 'status' AND k.source = p.source
WHERE p.created_at >= $1;

-- name: edxml_ids
-- The ids by which systems know documents, with the signed bytes: once for each document, unless they differ.
SELECT d.jws, d.id, p.edxml_id, min(y.name || ' ' || p.doc_id) AS key
FROM vxp_packet p JOIN document d USING (document_id) JOIN vxp_system y USING (system_id)
WHERE p.created_at >= $1
GROUP BY d.document_id, p.edxml_id;

-- name: unpacked
-- How many documents were handed to the mailboxes of systems that are let in, more than a day ago, and are in no packet. They may
-- still lie there.
SELECT count(*) FROM vxp_system y JOIN delivery v ON v.owner_id = y.hub_id
WHERE y.state = 'active' AND v.arrived_at IS NULL AND v.closed_at IS NULL
  AND v.dispatched_at >= $1 AND v.dispatched_at < now() - interval '1 day'
  AND NOT EXISTS (SELECT FROM vxp_packet p JOIN agency t USING (agency_id) JOIN agency r ON r.code = t.code
                  WHERE p.document_id = v.document_id AND p.system_id = y.system_id AND r.agency_id = v.recipient_id);

-- name: submissions
-- Submissions with what became of them: the document or status that was accepted, the refusals since they were given out,
-- the packet that a 01 is of, and the packet that tells an office of a refusal that came after the answer.
SELECT v.submission_id, v.doc_id, v.kind, v.file_digest, v.edxml_id, v.digest, v.message, v.routing_key, v.state, v.error,
       y.name AS system, h.code AS hub, v.from_id, f.code AS "from", v.attempted_at,
       v.attempted_at > now() + interval '1 day' AS ahead, v.attempted_at < now() - interval '1 day' AS old,
       v.attempt_after, v.attempt_after > coalesce((SELECT max(rejection_id) FROM rejection), 0) AS beyond,
       v.detail IS NOT NULL AS detailed, d.jws AS document, m.jws AS status, m.refused_items = '[]' AS whole,
       p.doc_id AS packet, p.agency_id AS packet_agency, t.code AS packet_agency_code, p.system_id = v.system_id AS packet_here,
       q.id AS arrived_id, encode(q.digest, 'hex') AS arrived_digest, s.code AS arrived_from,
       v.state = 'rejected' AND (
           EXISTS (SELECT FROM rejection r WHERE r.id = v.doc_id::text AND r.digest = v.digest
                      AND r.rejection_id > v.attempt_after AND r.code = v.error AND (v.detail IS NULL OR r.detail = v.detail))
           OR (m.refused_items -> 0 ->> 'error' = v.error AND v.detail IS NULL)) AS refused,
       v.state = 'rejected' AND NOT v.answered AND v.kind <> 'arrival' AND NOT EXISTS (
           SELECT FROM vxp_packet x
           WHERE x.system_id = v.system_id AND x.agency_id = v.from_id AND x.item = 0
             AND x.source = sha256(convert_to('rejection:' || v.submission_id || ':' || encode(v.digest, 'hex'), 'UTF8')))
           AS untold
FROM vxp_submission v JOIN vxp_system y USING (system_id) JOIN agency h ON h.agency_id = y.hub_id
JOIN agency f ON f.agency_id = v.from_id
LEFT JOIN document d ON v.kind = 'document' AND d.sender_id = v.from_id AND d.id = v.doc_id AND d.digest = v.digest
LEFT JOIN status_message m ON v.kind <> 'document' AND m.sender_id = y.hub_id AND m.id = v.doc_id AND m.digest = v.digest
LEFT JOIN vxp_packet p ON v.kind = 'arrival' AND p.arrival_id = v.submission_id
LEFT JOIN agency t ON t.agency_id = p.agency_id
LEFT JOIN document q ON q.document_id = p.document_id LEFT JOIN agency s ON s.agency_id = q.sender_id
WHERE v.created_at >= $1;

-- name: signer
-- A certificate, and whose it is.
SELECT c.der, a.code FROM certificate c JOIN agency a USING (agency_id) WHERE c.thumbprint = $1;

-- name: restored
-- Whether the database came from a backup: then messages may have come of which it had forgotten the rows.
SELECT EXISTS (SELECT FROM event WHERE kind = 'operator_action'
                 AND convert_from(body, 'UTF8') LIKE '%"action":"database.restored"%');

-- name: unsubmitted
-- What was signed with a key that the exchange keeps, and says that it came by this protocol, was submitted. What a restore
-- has taken is known by its times: signed before, and accepted since.
WITH came AS (
    SELECT s.code AS sender, d.id, d.via ->> 'system' AS system, d.sent_at, d.accepted_at, 'the document' AS what
    FROM document d JOIN certificate c USING (thumbprint) JOIN agency s ON s.agency_id = d.sender_id
    WHERE c.custody = 'broker' AND d.accepted_at >= $1 AND d.via ->> 'protocol' = 'vxp'
      AND NOT EXISTS (SELECT FROM vxp_submission v WHERE v.doc_id = d.id)
    UNION ALL
    SELECT s.code, m.id, x.via ->> 'system', m.sent_at, m.accepted_at, 'the status message'
    FROM status_message m JOIN certificate c USING (thumbprint) JOIN agency s ON s.agency_id = m.sender_id
    CROSS JOIN LATERAL (SELECT convert_from(m.jws, 'UTF8')::jsonb ->> 'payload' AS p) q
    CROSS JOIN LATERAL (SELECT convert_from(decode(rpad(translate(p, '-_', '+/'), (length(p) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::jsonb
                               -> 'via' AS via) x
    WHERE c.custody = 'broker' AND m.accepted_at >= $1 AND x.via ->> 'protocol' = 'vxp'
      AND NOT EXISTS (SELECT FROM vxp_submission v WHERE v.doc_id = m.id)
), restores AS (
    SELECT (convert_from(body, 'UTF8')::jsonb ->> 'at')::timestamptz AS at FROM event
    WHERE kind = 'operator_action' AND convert_from(body, 'UTF8') LIKE '%"action":"database.restored"%'
)
SELECT 'vxp_submission' AS place, coalesce(system, '') || ' ' || id AS key, 'row' AS what, 'no row' AS found,
       'the submission of ' || what || ' ' || sender || ' ' || id AS expected
FROM came
WHERE NOT EXISTS (SELECT FROM restores r
                  WHERE sent_at < r.at + interval '5 minutes' AND accepted_at > r.at - interval '1 day');

-- name: registrations
-- A wish is decided when it is done, and then the directory was changed so, as an event tells.
SELECT 'vxp_registration' AS place, y.name || ' ' || r.wish || ' ' || r.code AS key, x.what, x.found, x.expected
FROM vxp_registration r JOIN vxp_system y USING (system_id) JOIN agency h ON h.agency_id = y.hub_id
CROSS JOIN LATERAL (VALUES
    ('state', r.state,
     CASE WHEN r.state = 'refused' THEN 'pending or done: no program refuses a wish'
          ELSE 'pending: no event tells that the directory was changed so' END,
     r.state = 'pending' OR (r.state = 'done' AND EXISTS (
         SELECT FROM surviving_event e, convert_from(e.body, 'UTF8') AS t, LATERAL (SELECT t::jsonb AS b) b
         WHERE e.kind = 'directory_changed' AND b -> 'codes' ? r.code AND b #>> '{facts,hub}' = h.code
           AND b ->> 'change' = ANY (CASE r.wish WHEN 'delete' THEN ARRAY['mandate.ended']
                                                ELSE ARRAY['agency.added', 'mandate.given'] END)
           AND e.at BETWEEN r.decided_at - interval '1 hour' AND r.decided_at + interval '1 hour'))),
    ('decided_at', coalesce(r.decided_at::text, 'nothing'),
     CASE r.state WHEN 'pending' THEN 'nothing: it waits' ELSE 'when it was decided' END,
     (r.state = 'pending') = (r.decided_at IS NULL))
) AS x (what, found, expected, fits)
WHERE r.asked_at >= $1 AND NOT coalesce(x.fits, false);
