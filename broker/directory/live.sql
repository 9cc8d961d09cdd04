-- name: newest_revision
-- The revision of the newest visible row of the directory, 0 for an empty one; each branch is one index probe.
SELECT GREATEST(
    (SELECT max(revision) FROM agency),
    (SELECT max(revision) FROM agency_code),
    (SELECT max(revision) FROM mandate),
    (SELECT max(revision) FROM agency_group),
    (SELECT max(revision) FROM succession),
    (SELECT max(revision) FROM certificate),
    0);

-- name: agencies_since
-- Agencies that are newer than a revision.
SELECT agency_id AS id, code, name, level, tier, parent_id, has_mailbox, state, derived, valid_from, valid_until
  FROM agency WHERE revision > $1 ORDER BY agency_id;

-- name: aliases_since
-- Aliases that are newer than a revision.
SELECT alias, agency_id, kind, valid_from, valid_until FROM agency_code WHERE revision > $1 ORDER BY agency_id, alias;

-- name: mandates_since
-- Mandates that are newer than a revision.
SELECT hub_id, agency_id, may_receive, may_sign, valid_from, valid_until
  FROM mandate WHERE revision > $1 ORDER BY agency_id, hub_id;

-- name: groups_since
-- Groups defined by operators that are newer than a revision.
SELECT name, title, member_ids FROM agency_group WHERE revision > $1 ORDER BY name;

-- name: successions_since
-- Successions that are newer than a revision.
SELECT old_id, new_id, extent, on_date FROM succession WHERE revision > $1 ORDER BY old_id, new_id;

-- name: certificates_since
-- Enrolments and revocations that are newer than a revision.
SELECT thumbprint, agency_id, der, not_before, not_after, custody, revoked_at, revoked_why
  FROM certificate WHERE revision > $1 ORDER BY thumbprint;
