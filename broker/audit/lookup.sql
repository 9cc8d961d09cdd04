-- name: agencies_called
-- Agencies that have or had this code or alias; the open one first, then the one closed last.
SELECT a.agency_id, a.code, a.name, a.level, a.state
FROM agency a
WHERE a.code = $1 OR a.agency_id IN (SELECT c.agency_id FROM agency_code c WHERE c.alias = $1)
ORDER BY a.state = 'closed', a.code = $1 DESC, a.valid_until DESC NULLS FIRST, a.agency_id DESC;

-- name: subtree
-- An agency and all below it; UNION, so that a loop in the directory ends.
WITH RECURSIVE below AS (
    SELECT a.agency_id FROM agency a WHERE a.agency_id = $1
    UNION
    SELECT a.agency_id FROM below b JOIN agency a ON a.parent_id = b.agency_id
)
SELECT agency_id FROM below ORDER BY agency_id;
