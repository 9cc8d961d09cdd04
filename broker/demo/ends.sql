-- name: documents
-- The run's documents as the exchange knows them.
SELECT d.document_id, s.code AS sender, d.id, encode(d.digest, 'hex') AS digest, d.sent_at, d.accepted_at, d.recipients
FROM document d JOIN agency s ON s.agency_id = d.sender_id
WHERE d.id = ANY ($1::uuid[]);

-- name: deliveries
-- The run's deliveries, with the times between which latency is measured.
SELECT v.document_id, r.code AS recipient, r.tier, v.processing, v.dispatched_at, v.arrived_at, v.sends,
       (SELECT min(e.recorded_at) FROM status_entry e
        WHERE e.document_id = v.document_id AND e.recipient_id = v.recipient_id AND e.code = '01') AS arrival_recorded_at
FROM delivery v
JOIN document d ON d.document_id = v.document_id
JOIN agency r ON r.agency_id = v.recipient_id
WHERE d.id = ANY ($1::uuid[]);

-- name: rejections
-- What the exchange refused of the run.
SELECT id, claimed_from, code, detail ->> 'field' AS field, detail ->> 'found' AS found, detail ->> 'expected' AS expected, at
FROM rejection
WHERE id = ANY ($1::text[])
ORDER BY at;
