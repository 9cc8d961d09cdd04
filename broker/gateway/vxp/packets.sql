-- name: with_something
-- Which of some systems have packets to be handed out.
SELECT a.system_id, a.kind
  FROM unnest($1::bigint[], $2::text[]) AS a(system_id, kind)
 WHERE EXISTS (
    SELECT FROM vxp_packet p
     WHERE p.system_id = a.system_id AND p.kind = a.kind AND p.state IN ('waiting', 'processing')
       AND p.available_at <= now())

-- name: hand_out
-- The packets that have been available longest, kept from other pollers for a while from now on.
WITH chosen AS (
    SELECT packet_id FROM vxp_packet
     WHERE system_id = $1 AND kind = $2 AND state IN ('waiting', 'processing') AND available_at <= now()
     ORDER BY available_at, packet_id
     LIMIT $3
       FOR UPDATE SKIP LOCKED)
UPDATE vxp_packet p
   SET state = 'processing', available_at = now() + $4::interval, handed_out = p.handed_out + 1, updated_at = now()
  FROM chosen, agency f, agency t
 WHERE p.packet_id = chosen.packet_id AND f.agency_id = p.from_id AND t.agency_id = p.agency_id
RETURNING p.packet_id, p.doc_id, p.kind, p.created_at, p.updated_at, p.fail_reason,
          f.code AS from_code, t.code AS to_code

-- name: count_open
-- How many packets are not done, whether somebody has them or not.
SELECT count(*) FROM vxp_packet WHERE system_id = $1 AND kind = $2 AND state IN ('waiting', 'processing')

-- name: fetched
-- One packet of a system that is being fetched: if it was handed out, its lease begins anew.
WITH extended AS (
    UPDATE vxp_packet
       SET state = CASE WHEN available_at <= now() THEN 'processing' ELSE state END,
           available_at = GREATEST(available_at, now() + $3::interval), updated_at = now()
     WHERE system_id = $1 AND doc_id = $2 AND state IN ('waiting', 'processing'))
SELECT p.document_id, p.file, t.code AS to_code
  FROM vxp_packet p JOIN agency t ON t.agency_id = p.agency_id
 WHERE p.system_id = $1 AND p.doc_id = $2

-- name: lock_packet
-- One packet of a system, for changing it.
SELECT p.packet_id, p.state, p.kind, p.agency_id, p.document_id, p.fails, t.code AS to_code
  FROM vxp_packet p JOIN agency t ON t.agency_id = p.agency_id
 WHERE p.system_id = $1 AND p.doc_id = $2
   FOR UPDATE OF p

-- name: extend
-- Whoever has the packet is still at it.
UPDATE vxp_packet
   SET state = 'processing', available_at = GREATEST(available_at, now() + $2::interval),
       updated_at = now()
 WHERE packet_id = $1 AND state IN ('waiting', 'processing')

-- name: finish
-- Fetched and stored by the system.
UPDATE vxp_packet SET state = 'done', arrival_id = $2, updated_at = now() WHERE packet_id = $1

-- name: fail
-- The system could not take it: handed out again later, or, after too many times, when an operator lets it. One that
-- waits although its lease runs has failed in it already: with the same reason that is the same failure, said again.
UPDATE vxp_packet
   SET fails = fails + 1, fail_reason = $2, state = CASE WHEN fails + 1 >= $3 THEN 'failed' ELSE 'waiting' END,
       available_at = now() + $4::interval, updated_at = now()
 WHERE packet_id = $1
   AND NOT (fails > 0 AND fail_reason = $2 AND (state = 'failed' OR state = 'waiting' AND available_at > now()))
RETURNING fails

-- name: document_of
-- The signed bytes of a document, and who sent it.
SELECT d.jws, d.id, encode(d.digest, 'hex') AS digest, a.code AS from_code
  FROM document d JOIN agency a ON a.agency_id = d.sender_id
 WHERE d.document_id = $1

-- name: parts_of
-- Its parts: the bytes, or that they are in the content store.
SELECT encode(c.digest, 'hex') AS digest, c.size, c.inline
  FROM document_part p JOIN content c USING (digest)
 WHERE p.document_id = $1

-- name: take_arrival
-- The 01 of a packet, to be published.
INSERT INTO vxp_submission (system_id, kind, doc_id, from_id, digest, message, routing_key)
VALUES ($1, 'arrival', $2, $3, $4, $5, $6)
RETURNING submission_id

-- name: list_sent
-- What a system has sent, one row for each recipient, newest first.
SELECT v.doc_id, v.kind, v.created_at, v.state, v.error, f.code AS from_code, t.code AS to_code, d.subject, d.number,
       d.notation, y.processing, y.recalled, y.arrived_at, y.dispatched_at, y.overdue_at
  FROM vxp_submission v
  JOIN agency f ON f.agency_id = v.from_id
  LEFT JOIN document d ON v.kind = 'document' AND d.sender_id = v.from_id AND d.id = v.doc_id
  LEFT JOIN delivery y ON y.document_id = d.document_id
  LEFT JOIN agency t ON t.agency_id = y.recipient_id
 WHERE v.system_id = $1 AND v.kind = $2 AND ($3::uuid IS NULL OR v.doc_id = $3)
   AND ($4::timestamptz IS NULL OR v.created_at >= $4) AND ($5::timestamptz IS NULL OR v.created_at < $5)
 ORDER BY v.created_at DESC, v.submission_id DESC, t.code
 LIMIT $6

-- name: insert_packets
-- New packets; those that are known already stay as they are.
INSERT INTO vxp_packet (doc_id, system_id, agency_id, kind, from_id, document_id, file, edxml_id, source, item)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bytea[],
                     $8::text[], $9::bytea[], $10::int[])
ON CONFLICT DO NOTHING
RETURNING doc_id

-- name: newest_packet
-- When the last packet of a system was stored.
SELECT max(created_at) FROM vxp_packet WHERE system_id = $1

-- name: arrivals_again
-- A document came once more although it was fetched: its 01 is given once more.
UPDATE vxp_submission SET published_at = NULL, attempted_at = now() - interval '1 hour'
 WHERE submission_id IN (
     SELECT arrival_id FROM vxp_packet
      WHERE system_id = $1 AND agency_id = ANY($2::bigint[]) AND source = $3 AND state = 'done' AND arrival_id IS NOT NULL)
   AND message IS NOT NULL AND published_at IS NOT NULL

-- name: document_named
-- The row of a document by its signed bytes.
SELECT document_id FROM document WHERE sender_id = $1 AND id = $2 AND digest = $3

-- name: documents_with
-- Signed bytes of documents by their digests.
SELECT jws FROM document WHERE digest = ANY($1::bytea[]) AND id = ANY($2::uuid[])

-- name: list_packets
-- Packets of a system as an operator sees them.
SELECT p.doc_id, s.name AS system, t.code AS agency, f.code AS "from", p.kind, p.state, p.handed_out, p.fails,
       p.fail_reason, p.created_at, p.updated_at, p.available_at
  FROM vxp_packet p JOIN vxp_system s USING (system_id)
  JOIN agency t ON t.agency_id = p.agency_id JOIN agency f ON f.agency_id = p.from_id
 WHERE s.name = $1 AND (p.state = 'failed' OR (NOT $2 AND p.state IN ('waiting', 'processing')))
 ORDER BY p.packet_id
 LIMIT $3

-- name: release
-- Hand failed packets out again, their failures counted from the start.
UPDATE vxp_packet p SET state = 'waiting', fails = 0, available_at = now(), updated_at = now()
  FROM vxp_system s
 WHERE s.system_id = p.system_id AND s.name = $1 AND p.state = 'failed' AND ($2::uuid IS NULL OR p.doc_id = $2)
RETURNING p.doc_id
