-- name: systems
-- Every system with the secrets that are good now; a disabled one has none.
SELECT s.system_id, s.name, s.hub_id, s.state, s.addresses, s.fresh_seconds, s.sign_all, s.registration,
       (SELECT array_agg(v.sealed ORDER BY v.secret_id DESC) FROM vxp_secret v
         WHERE v.system_id = s.system_id AND s.state = 'active' AND (v.ends_at IS NULL OR v.ends_at > now())) AS sealed
  FROM vxp_system s

-- name: custody_of
-- The newest key that is kept for an agency and good at a time.
SELECT k.thumbprint, k.sealed
  FROM custody_key k JOIN certificate c USING (thumbprint)
 WHERE c.agency_id = $1 AND c.revoked_at IS NULL AND c.not_before <= $2 AND c.not_after > $2
 ORDER BY k.made_at DESC
 LIMIT 1

-- name: add_system
-- A new system.
INSERT INTO vxp_system (name, hub_id, addresses, fresh_seconds, sign_all, registration)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING system_id

-- name: add_secret
-- One more secret of a system.
INSERT INTO vxp_secret (system_id, sealed) VALUES ($1, $2)

-- name: end_secrets
-- Let a system's secrets end at a time, unless they end sooner.
UPDATE vxp_secret SET ends_at = LEAST(COALESCE(ends_at, $2), $2) WHERE system_id = $1

-- name: keep_key
-- The sealed private key of an enrolled certificate.
INSERT INTO custody_key (thumbprint, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING

-- name: set_state
-- Let a system in or keep it out.
UPDATE vxp_system SET state = $2, changed_at = clock_timestamp() WHERE system_id = $1

-- name: system_named
-- One system by the name it has on the wire.
SELECT s.system_id, s.name, a.code AS hub FROM vxp_system s JOIN agency a ON a.agency_id = s.hub_id WHERE s.name = $1

-- name: system_told
-- A hub's system, for the event that tells how it is now.
SELECT s.system_id, s.name, s.state, s.addresses, s.fresh_seconds, s.sign_all, s.registration, s.created_at, s.changed_at
  FROM vxp_system s JOIN agency a ON a.agency_id = s.hub_id WHERE a.code = $1 ORDER BY s.system_id DESC LIMIT 1

-- name: secrets_told
-- A system's secrets, the first one first.
SELECT secret_id, sealed, made_at, ends_at FROM vxp_secret WHERE system_id = $1 ORDER BY secret_id

-- name: key_told
-- A kept key, for the event that tells it.
SELECT sealed, made_at FROM custody_key WHERE thumbprint = $1

-- name: note_action
-- What an operator did.
INSERT INTO admin_action (at, actor, action, target, reason) VALUES ($1, $2, $3, $4, $5)

-- name: tell_action
-- The event of what an operator did, without which the row would look as if it had been put in.
INSERT INTO event (at, kind, body, leaf, epoch) VALUES ($1, $2, $3, $4, (SELECT epoch FROM exchange_epoch))

-- name: list_systems
-- Every system as an operator sees it.
SELECT s.name AS system, a.code AS hub, a.name AS hub_name, s.state, s.addresses, s.fresh_seconds, s.sign_all,
       s.registration, s.created_at,
       (SELECT count(*) FROM vxp_secret v WHERE v.system_id = s.system_id AND (v.ends_at IS NULL OR v.ends_at > now()))
           AS secrets,
       (SELECT max(c.not_after) FROM custody_key k JOIN certificate c USING (thumbprint)
         WHERE c.agency_id = s.hub_id AND c.revoked_at IS NULL) AS key_until,
       (SELECT count(*) FROM vxp_packet p WHERE p.system_id = s.system_id AND p.state IN ('waiting', 'processing'))
           AS waiting,
       (SELECT min(p.created_at) FROM vxp_packet p
         WHERE p.system_id = s.system_id AND p.state IN ('waiting', 'processing')) AS oldest,
       (SELECT count(*) FROM vxp_packet p WHERE p.system_id = s.system_id AND p.state = 'failed') AS failed
  FROM vxp_system s JOIN agency a ON a.agency_id = s.hub_id
 ORDER BY s.name
