-- name: refused_under_number
-- The newest refusals of messages that said this number and notation.
SELECT at, amqp_user, kind, claimed_from, id, encode(digest, 'hex') AS digest, code, detail, quarantined
FROM rejection
WHERE number = $1 AND notation = $2 AND ($3::text IS NULL OR claimed_from = $3)
  AND ($4::bigint[] IS NULL OR amqp_user IN (SELECT a.code FROM agency a WHERE a.agency_id = ANY ($4)))
ORDER BY at DESC, rejection_id DESC
LIMIT 100;
