-- name: wish
-- What a system asks for; asked again it is the same wish.
INSERT INTO vxp_registration (system_id, wish, code, name) VALUES ($1, $2, $3, $4)
ON CONFLICT (system_id, wish, code) DO UPDATE SET name = EXCLUDED.name, asked_at = now(), state = 'pending',
       decided_at = NULL
 WHERE vxp_registration.state <> 'refused'

-- name: decided
-- A wish that was granted at once.
INSERT INTO vxp_registration (system_id, wish, code, name, state, decided_at) VALUES ($1, $2, $3, $4, $5, now())
ON CONFLICT (system_id, wish, code) DO UPDATE SET state = EXCLUDED.state, decided_at = now()

-- name: registered_itself
-- Whether a system had registered that agency.
SELECT EXISTS (SELECT FROM vxp_registration WHERE system_id = $1 AND wish = 'register' AND code = $2 AND state = 'done')

-- name: pending
-- A wish of a system that waits.
SELECT r.registration_id, r.wish, r.name, a.code AS hub
  FROM vxp_registration r JOIN vxp_system s USING (system_id) JOIN agency a ON a.agency_id = s.hub_id
 WHERE s.name = $1 AND r.code = $2 AND r.state = 'pending'
 ORDER BY r.asked_at DESC LIMIT 1

-- name: exists
-- Whether an open agency has that code.
SELECT EXISTS (SELECT FROM agency WHERE code = $1 AND state <> 'closed')

-- name: decide
-- An operator has decided.
UPDATE vxp_registration SET state = $2, decided_at = now() WHERE registration_id = $1

-- name: wishes
-- What waits for an operator, oldest first.
SELECT s.name AS system, r.wish, r.code, r.name, r.asked_at
  FROM vxp_registration r JOIN vxp_system s USING (system_id)
 WHERE r.state = 'pending'
 ORDER BY r.asked_at
