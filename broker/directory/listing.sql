-- name: agencies
-- Agencies for a list, with superior and the hub that receives for them; open ones unless closed ones are asked for.
SELECT agency.agency_id, agency.code, agency.name, agency.level, agency.tier, parent.code AS parent, agency.state,
       agency.has_mailbox, hub.code AS hub, agency.derived, agency.nso_code, agency.valid_from, agency.valid_until
  FROM agency
  LEFT JOIN agency AS parent ON parent.agency_id = agency.parent_id
  LEFT JOIN LATERAL (
        SELECT hub_agency.code
          FROM mandate JOIN agency AS hub_agency ON hub_agency.agency_id = mandate.hub_id
         WHERE mandate.agency_id = agency.agency_id AND mandate.may_receive AND hub_agency.state <> 'closed'
           AND (mandate.valid_until IS NULL OR mandate.valid_until > $8)
         ORDER BY mandate.valid_from DESC, mandate.hub_id DESC LIMIT 1) AS hub ON true
 WHERE ($1::text IS NULL OR agency.level = $1)
   AND ($2::bigint IS NULL OR agency.parent_id = $2)
   AND CASE WHEN $3::text IS NULL THEN agency.state <> 'closed' ELSE agency.state = $3 END
   AND ($4::boolean IS NULL OR agency.has_mailbox = $4)
   AND ($5::text IS NULL OR agency.code LIKE $5 || '%' OR lower(agency.name) LIKE '%' || lower($6) || '%')
 ORDER BY agency.code, agency.agency_id
 LIMIT $7;

-- name: aliases_of
-- The aliases of an agency.
SELECT alias, kind, valid_from, valid_until FROM agency_code WHERE agency_id = $1 ORDER BY alias;

-- name: mandates_of
-- Who may receive or sign for an agency.
SELECT hub.code, hub.name, may_receive, may_sign, mandate.valid_from, mandate.valid_until
  FROM mandate JOIN agency AS hub ON hub.agency_id = mandate.hub_id
 WHERE mandate.agency_id = $1 ORDER BY mandate.valid_from, hub.code;

-- name: serves
-- How many agencies a hub may receive for, and sign for.
SELECT count(*) FILTER (WHERE may_receive) AS receives_for, count(*) FILTER (WHERE may_sign) AS signs_for
  FROM mandate JOIN agency USING (agency_id)
 WHERE mandate.hub_id = $1 AND agency.state <> 'closed' AND (mandate.valid_until IS NULL OR mandate.valid_until > $2);

-- name: served
-- The agencies that a hub serves.
SELECT agency.code, agency.name, may_receive, may_sign
  FROM mandate JOIN agency USING (agency_id)
 WHERE mandate.hub_id = $1 AND agency.state <> 'closed' AND (mandate.valid_until IS NULL OR mandate.valid_until > $2)
 ORDER BY agency.code;

-- name: successors_of
-- Who took over from an agency.
SELECT agency.code, agency.name, extent, on_date
  FROM succession JOIN agency ON agency.agency_id = succession.new_id WHERE old_id = $1 ORDER BY extent, agency.code;

-- name: predecessors_of
-- From whom an agency took over.
SELECT agency.code, agency.name, extent, on_date
  FROM succession JOIN agency ON agency.agency_id = succession.old_id WHERE new_id = $1 ORDER BY agency.code;

-- name: groups
-- Groups that operators have defined, with their members' codes.
SELECT agency_group.name, agency_group.title, array_agg(agency.code ORDER BY agency.code) AS members
  FROM agency_group JOIN agency ON agency.agency_id = ANY (agency_group.member_ids)
 WHERE $1::text IS NULL OR agency_group.name = $1
 GROUP BY agency_group.name, agency_group.title ORDER BY agency_group.name;

-- name: groups_of
-- The groups of operators that an agency belongs to.
SELECT name FROM agency_group WHERE $1::bigint = ANY (member_ids) ORDER BY name;

-- name: certificates
-- Certificates with whose they are, newest last; of one agency, or of all.
SELECT encode(thumbprint, 'hex') AS thumbprint, agency.code, agency.name, custody, not_before, not_after, enrolled_at,
       revoked_at, revoked_why, der
  FROM certificate JOIN agency USING (agency_id)
 WHERE ($1::bigint IS NULL OR agency_id = $1) AND ($2::timestamptz IS NULL OR not_after < $2)
 ORDER BY agency.code, enrolled_at, thumbprint;
