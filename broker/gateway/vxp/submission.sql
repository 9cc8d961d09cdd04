-- name: submission_of_file
-- What a system has submitted with a file before.
SELECT submission_id, doc_id, from_id, digest, message, routing_key, state, error, detail, published_at,
       attempt_after, attempted_at
  FROM vxp_submission
 WHERE system_id = $1 AND kind = $2 AND file_digest = $3

-- name: take
-- Write down what is about to be published; nothing if another gateway was quicker.
INSERT INTO vxp_submission (system_id, kind, doc_id, file_digest, from_id, edxml_id, digest, message, routing_key,
                            attempt_after)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, (SELECT COALESCE(max(rejection_id), 0) FROM rejection))
ON CONFLICT DO NOTHING
RETURNING submission_id, attempt_after

-- name: take_again
-- Give out anew what was rejected before; nothing if another gateway was quicker.
UPDATE vxp_submission
   SET digest = $2, message = $3, routing_key = $4, from_id = $5, state = 'taken', error = NULL, detail = NULL, published_at = NULL,
       answered = false, attempted_at = now(), attempt_after = (SELECT COALESCE(max(rejection_id), 0) FROM rejection)
 WHERE submission_id = $1 AND state = 'rejected'
RETURNING submission_id, attempt_after

-- name: mark_published
-- RabbitMQ has confirmed it.
UPDATE vxp_submission SET published_at = now() WHERE submission_id = $1 AND digest = $2

-- name: fate_of_document
-- What the exchange thinks of a document: accepted, or rejected since it was given out.
SELECT true AS accepted, NULL AS error, NULL AS detail
  FROM document WHERE sender_id = $1 AND id = $2 AND digest = $3
UNION ALL
(SELECT false, code, detail::text FROM rejection
  WHERE id = $2::text AND digest = $3 AND rejection_id > $4
  ORDER BY rejection_id DESC LIMIT 1)
 LIMIT 1

-- name: fate_of_status
-- What the exchange thinks of a status message with one item, sent by a hub.
SELECT refused_items = '[]' AS accepted, refused_items -> 0 ->> 'error' AS error, NULL AS detail
  FROM status_message WHERE sender_id = $1 AND id = $2 AND digest = $3
UNION ALL
(SELECT false, code, detail::text FROM rejection
  WHERE id = $2::text AND digest = $3 AND rejection_id > $4
  ORDER BY rejection_id DESC LIMIT 1)
 LIMIT 1

-- name: settle
-- Write down what the exchange thinks of it; says whether this was news.
-- What a document or status says is in the record now; a 01 is kept to be given again.
UPDATE vxp_submission
   SET state = $2, error = $3, detail = $4, answered = $5, message = CASE WHEN kind = 'arrival' THEN message END
 WHERE submission_id = $1 AND state = 'taken'
RETURNING submission_id

-- name: unsettled
-- What was given out some time ago and has no known fate, oldest first.
SELECT v.submission_id, v.system_id, v.kind, v.doc_id, v.from_id, v.digest, v.attempt_after, v.edxml_id, s.hub_id,
       v.published_at
  FROM vxp_submission v JOIN vxp_system s USING (system_id)
 WHERE v.state = 'taken' AND v.attempted_at < now() - $1::interval AND v.attempted_at > now() - interval '30 days'
 ORDER BY v.attempted_at
 LIMIT 200

-- name: unpublished
-- What nobody has published, or whose publisher is gone; claimed so that one gateway gives it out.
UPDATE vxp_submission SET attempted_at = now()
 WHERE submission_id IN (
     SELECT v.submission_id FROM vxp_submission v
      WHERE v.published_at IS NULL AND v.message IS NOT NULL AND v.attempted_at < now() - $1::interval
      ORDER BY v.attempted_at
      LIMIT 100
        FOR UPDATE SKIP LOCKED)
RETURNING submission_id, system_id, kind, digest, message, routing_key

-- name: documents_meant
-- Documents that a status of an agency can be about: by id, by number and notation, or by the id they have in edXML.
SELECT d.jws
  FROM document d
 WHERE d.document_id IN (
     SELECT x.document_id FROM document x WHERE x.sender_id = $1 AND x.id = $2
     UNION
     SELECT x.document_id FROM document x WHERE x.natural_key = $3 AND x.action = 'new' AND x.sender_id = $1
     UNION
     SELECT p.document_id FROM vxp_packet p
      WHERE p.document_id IS NOT NULL AND p.agency_id = $4 AND p.edxml_id = $5
     UNION
     SELECT p.document_id FROM vxp_packet p WHERE p.document_id IS NOT NULL AND p.agency_id = $4 AND p.doc_id = $2
     UNION
     SELECT x.document_id FROM vxp_submission v JOIN document x ON x.id = v.doc_id AND x.sender_id = v.from_id
      WHERE v.kind = 'document' AND v.edxml_id = $5 AND v.from_id = $1)
   AND (d.sender_id = $4 OR EXISTS (
       SELECT FROM delivery y WHERE y.document_id = d.document_id AND y.recipient_id = $4))
 LIMIT 50

-- name: documents_numbered
-- The same by number and notation alone: without a date, or for a document that replaced another.
SELECT d.jws
  FROM document d
 WHERE d.sender_id = $1 AND d.number = $2 AND d.notation = $3
   AND (d.sender_id = $4 OR EXISTS (
       SELECT FROM delivery y WHERE y.document_id = d.document_id AND y.recipient_id = $4))
 LIMIT 50

-- name: asking_messages
-- Signed bytes of what asks for a change of documents at one recipient.
SELECT COALESCE(d.jws, m.jws) AS jws
  FROM change_request c
  LEFT JOIN document d ON d.document_id = c.asking_document_id
  LEFT JOIN status_message m ON m.status_message_id = c.asking_status_id
 WHERE c.recipient_id = $1
   AND c.document_id IN (SELECT document_id FROM document WHERE digest = ANY($2::bytea[]))
   AND COALESCE(d.jws, m.jws) IS NOT NULL
 LIMIT 50

-- name: own_documents
-- Documents of a sender that a change can be about: by id, by natural key, or by the id they have in edXML.
SELECT d.jws FROM document d WHERE d.sender_id = $1 AND d.id = ANY($2::uuid[])
UNION
SELECT d.jws FROM document d WHERE d.natural_key = ANY($3::bytea[]) AND d.action = 'new' AND d.sender_id = $1
UNION
SELECT d.jws FROM vxp_submission v JOIN document d ON d.id = v.doc_id AND d.sender_id = v.from_id
 WHERE v.kind = 'document' AND v.edxml_id = ANY($4::text[]) AND v.from_id = $1
 LIMIT 50
