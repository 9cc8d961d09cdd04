-- Connected systems for a comparison with the events that tell of them.

-- name: readable
-- Whether this login may read what is sealed; the auditor's role may not.
SELECT has_table_privilege('vxp_secret', 'SELECT') AND has_table_privilege('custody_key', 'SELECT');

-- name: systems
-- Systems by their hubs.
SELECT a.code AS hub, s.system_id, s.name, s.state, s.addresses, s.fresh_seconds, s.sign_all, s.registration, s.created_at,
       s.changed_at
FROM vxp_system s JOIN agency a ON a.agency_id = s.hub_id ORDER BY a.code, s.system_id;

-- name: secrets
-- Their secrets, the first of each first.
SELECT system_id, secret_id, sealed, made_at, ends_at FROM vxp_secret ORDER BY system_id, secret_id;

-- name: keys
-- Keys that the exchange keeps.
SELECT encode(thumbprint, 'hex') AS thumbprint, sealed, made_at FROM custody_key ORDER BY thumbprint;

-- name: told
-- What operators did to systems and kept keys, in its order.
SELECT body FROM surviving_event
WHERE kind = 'operator_action' AND convert_from(body, 'UTF8') ~ '"action":"(system|key)[.]'
ORDER BY epoch, xid, event_id;
