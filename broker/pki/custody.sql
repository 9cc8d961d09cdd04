-- name: listing
-- Certificates whose keys the exchange keeps, newest key first; `sealed` is null where the key is not here.
SELECT a.code, a.name, encode(c.thumbprint, 'hex') AS thumbprint, c.not_before, c.not_after, c.revoked_at,
       c.revoked_why, k.made_at, k.sealed, s.name AS system
  FROM certificate c
  JOIN agency a USING (agency_id)
  LEFT JOIN custody_key k USING (thumbprint)
  LEFT JOIN vxp_system s ON s.hub_id = a.agency_id
 WHERE c.custody = 'broker' AND a.level <> 'exchange' AND ($1::bigint IS NULL OR a.agency_id = $1)
 ORDER BY a.code, k.made_at DESC NULLS LAST, c.not_after DESC;
