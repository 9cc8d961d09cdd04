-- name: agency
-- Agencies as the log describes them, of some revisions.
SELECT agency_id, code, name, level, tier, parent_id, state, has_mailbox, derived, nso_code, valid_from, valid_until,
       revision
  FROM agency WHERE revision BETWEEN $1 AND $2 ORDER BY agency_id;

-- name: agency_code
-- Aliases.
SELECT agency_id, alias, kind, valid_from, valid_until, revision
  FROM agency_code WHERE revision BETWEEN $1 AND $2 ORDER BY agency_id, alias;

-- name: mandate
-- What hubs may do for others.
SELECT hub_id, agency_id, may_receive, may_sign, valid_from, valid_until, revision
  FROM mandate WHERE revision BETWEEN $1 AND $2 ORDER BY hub_id, agency_id;

-- name: agency_group
-- Groups of recipients.
SELECT name, title, member_ids, revision FROM agency_group WHERE revision BETWEEN $1 AND $2 ORDER BY name;

-- name: succession
-- Who took over from whom.
SELECT old_id, new_id, extent, on_date, revision
  FROM succession WHERE revision BETWEEN $1 AND $2 ORDER BY old_id, new_id;

-- name: certificate
-- Certificates without their bytes, which are what the thumbprint says.
SELECT thumbprint, agency_id, chain, custody, not_before, not_after, enrolled_at, revoked_at, revoked_why, revision
  FROM certificate WHERE revision BETWEEN $1 AND $2 ORDER BY thumbprint;
