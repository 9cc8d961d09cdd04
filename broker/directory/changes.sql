-- name: lock
-- One change of the directory at a time, so that revisions become visible in their order.
SELECT pg_advisory_xact_lock($1);

-- name: next_revision
-- The revision of everything that this change writes.
SELECT nextval('directory_revision');

-- name: write_action
-- Who did what to whom, and why.
INSERT INTO admin_action (at, actor, action, target, reason) VALUES ($1, $2, $3, $4, $5);

-- name: write_events
-- Events, in the transaction that decides what they tell.
INSERT INTO event (at, kind, body, leaf, agency_id, epoch)
SELECT $1, written.kind, written.body, written.leaf, written.agency_id, exchange_epoch.epoch
  FROM unnest($2::text[], $3::bytea[], $4::bytea[], $5::bigint[]) WITH ORDINALITY
       AS written (kind, body, leaf, agency_id, place), exchange_epoch
 ORDER BY written.place;

-- name: agency_by_code
-- The open agency with this canonical code, or the one that an alias names if no code does.
SELECT agency_id AS id, code, name, level, tier, parent_id, has_mailbox, state, derived, valid_from, valid_until
  FROM agency
 WHERE state <> 'closed'
   AND (code = $1
        OR agency_id IN (SELECT agency_id FROM agency_code
                          WHERE alias = $1 AND (valid_until IS NULL OR valid_until > $2)))
 ORDER BY (code = $1) DESC, agency_id
 LIMIT 2;

-- name: agency_by_id
-- One agency, open or closed.
SELECT agency_id AS id, code, name, level, tier, parent_id, has_mailbox, state, derived, valid_from, valid_until
  FROM agency WHERE agency_id = $1;

-- name: close_ended
-- Mark as closed what ended by its date, so that its code is free for another agency.
UPDATE agency SET state = 'closed', revision = $3
 WHERE code = $1 AND state <> 'closed' AND valid_until <= $2;

-- name: insert_agency
-- A new agency.
INSERT INTO agency (code, name, level, tier, parent_id, has_mailbox, derived, nso_code, valid_from, valid_until, revision)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING agency_id;

-- name: set_state
-- Suspend an agency or let it take part again.
UPDATE agency SET state = $2, revision = $3 WHERE agency_id = $1;

-- name: set_mailbox
-- Give an agency a mailbox of its own, or take it away.
UPDATE agency SET has_mailbox = $2, revision = $3 WHERE agency_id = $1;

-- name: close_agency
-- End an agency on a day; it is marked as closed once that day has come.
UPDATE agency SET valid_until = $2::date, state = CASE WHEN $2::date <= $3::date THEN 'closed' ELSE state END, revision = $4
 WHERE agency_id = $1;

-- name: served_by
-- How many open agencies receive through a hub.
SELECT count(*) FROM mandate JOIN agency USING (agency_id)
 WHERE mandate.hub_id = $1 AND mandate.may_receive AND (mandate.valid_until IS NULL OR mandate.valid_until > $2)
   AND agency.state <> 'closed' AND NOT agency.has_mailbox;

-- name: write_succession
-- Who took over from a closed agency.
INSERT INTO succession (old_id, new_id, extent, on_date, revision) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (old_id, new_id) DO UPDATE SET extent = excluded.extent, on_date = excluded.on_date, revision = excluded.revision;

-- name: write_alias
-- Another way to write an agency's code.
INSERT INTO agency_code (alias, agency_id, kind, valid_from, revision) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (alias, agency_id) DO UPDATE SET kind = excluded.kind, valid_until = NULL, revision = excluded.revision;

-- name: end_alias
-- An alias stops naming an agency; its row stays.
UPDATE agency_code SET valid_until = $3, revision = $4
 WHERE alias = $1 AND agency_id = $2 AND (valid_until IS NULL OR valid_until > $3)
RETURNING alias;

-- name: write_mandate
-- What a hub may do for an agency, from now on, and since when its row says so.
INSERT INTO mandate (hub_id, agency_id, may_receive, may_sign, valid_from, revision) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (hub_id, agency_id) DO UPDATE
   SET may_receive = excluded.may_receive, may_sign = excluded.may_sign, valid_until = NULL, revision = excluded.revision
RETURNING valid_from;

-- name: hand_over_mandates
-- From a day on, one agency may do for others what these hubs might. Their own mandates stay: a hub that has closed may
-- do nothing by them. One that the agency holds on that day goes on; one that has ended begins anew.
INSERT INTO mandate AS own (hub_id, agency_id, may_receive, may_sign, valid_from, revision)
SELECT $2, m.agency_id, bool_or(m.may_receive), bool_or(m.may_sign), $3, $4
  FROM mandate m JOIN agency a ON a.agency_id = m.agency_id
 WHERE m.hub_id = ANY($1::bigint[]) AND (m.valid_until IS NULL OR m.valid_until > $3)
   AND m.agency_id <> $2 AND m.agency_id <> ALL($1::bigint[])
   AND a.state <> 'closed' AND (a.valid_until IS NULL OR a.valid_until > $3)
 GROUP BY m.agency_id
ON CONFLICT (hub_id, agency_id) DO UPDATE
   SET may_receive = excluded.may_receive OR (own.may_receive AND (own.valid_until IS NULL OR own.valid_until > $3)),
       may_sign = excluded.may_sign OR (own.may_sign AND (own.valid_until IS NULL OR own.valid_until > $3)),
       valid_from = CASE WHEN own.valid_until IS NULL OR own.valid_until > $3 THEN least(own.valid_from, $3) ELSE $3 END,
       valid_until = NULL, revision = excluded.revision
RETURNING agency_id, may_receive, may_sign, valid_from;

-- name: merged_numbers
-- What depends on each of some agencies that are to close: deliveries without 01, agencies that receive through it or
-- that it signs for, agencies directly below it, certificates that are in force.
SELECT k.agency_id,
       (SELECT count(*) FROM delivery v
         WHERE v.recipient_id = k.agency_id AND v.arrived_at IS NULL AND v.closed_at IS NULL) AS open_deliveries,
       (SELECT count(*) FROM mandate m JOIN agency a ON a.agency_id = m.agency_id
         WHERE m.hub_id = k.agency_id AND (m.valid_until IS NULL OR m.valid_until > $2) AND m.agency_id <> ALL($1)
           AND a.state <> 'closed' AND (a.valid_until IS NULL OR a.valid_until > $2)) AS served,
       (SELECT count(*) FROM agency c
         WHERE c.parent_id = k.agency_id AND c.state <> 'closed' AND c.agency_id <> ALL($1)
           AND (c.valid_until IS NULL OR c.valid_until > $2)) AS below,
       (SELECT count(*) FROM certificate c
         WHERE c.agency_id = k.agency_id AND c.revoked_at IS NULL AND c.not_after > $3) AS certificates
  FROM unnest($1::bigint[]) WITH ORDINALITY AS k(agency_id, place)
 ORDER BY k.place;

-- name: code_of
-- The code of an agency.
SELECT code FROM agency WHERE agency_id = $1;

-- name: successions
-- Every succession, for a look at where they lead.
SELECT old_id, new_id FROM succession;

-- name: end_mandate
-- A hub stops serving an agency; the row stays.
UPDATE mandate SET valid_until = $3, revision = $4
 WHERE hub_id = $1 AND agency_id = $2 AND (valid_until IS NULL OR valid_until > $3)
RETURNING hub_id;

-- name: write_group
-- Define a group, or give it other members.
INSERT INTO agency_group (name, title, member_ids, revision) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE
   SET title = excluded.title, member_ids = excluded.member_ids, revision = excluded.revision;

-- name: group_title
-- The title of a group that still has members.
SELECT title FROM agency_group WHERE name = $1 AND member_ids <> '{}';

-- name: certificate
-- One enrolled certificate.
SELECT thumbprint, agency_id, der, not_before, not_after, custody, revoked_at, revoked_why
  FROM certificate WHERE thumbprint = $1;

-- name: certificates_like
-- Enrolled certificates whose thumbprint begins with these hex digits; two are enough to know it is not unique.
SELECT thumbprint, agency_id, der, not_before, not_after, custody, revoked_at, revoked_why
  FROM certificate WHERE encode(thumbprint, 'hex') LIKE $1 || '%' ORDER BY thumbprint LIMIT 2;

-- name: enrol_certificate
-- A certificate speaks for an agency from now on.
INSERT INTO certificate (thumbprint, agency_id, der, chain, custody, not_before, not_after, enrolled_at, revision)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: revoke_certificate
-- A certificate does not speak for anybody any more.
UPDATE certificate SET revoked_at = $2, revoked_why = $3, revision = $4 WHERE thumbprint = $1;

-- name: allocate_agency_ids
-- Ids for agencies that are about to be imported together.
SELECT nextval('agency_agency_id_seq') FROM generate_series(1, $1::int);

-- name: import_agencies
-- Many new agencies, with ids allocated before, so that they may name each other as parents.
INSERT INTO agency (agency_id, code, name, level, tier, parent_id, has_mailbox, derived, nso_code, valid_from,
                    valid_until, state, revision)
OVERRIDING SYSTEM VALUE
SELECT rows.*, $13
  FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::bigint[], $7::boolean[],
              $8::boolean[], $9::text[], $10::date[], $11::date[], $12::text[]) AS rows;

-- name: import_changes
-- New particulars of agencies that are in the directory already.
UPDATE agency
   SET name = rows.name, level = rows.level, tier = rows.tier, parent_id = rows.parent_id,
       has_mailbox = rows.has_mailbox, derived = rows.derived, nso_code = coalesce(rows.nso_code, agency.nso_code),
       revision = $9
  FROM unnest($1::bigint[], $2::text[], $3::text[], $4::smallint[], $5::bigint[], $6::boolean[], $7::boolean[],
              $8::text[]) AS rows (agency_id, name, level, tier, parent_id, has_mailbox, derived, nso_code)
 WHERE agency.agency_id = rows.agency_id;

-- name: import_aliases
-- Aliases of imported agencies.
INSERT INTO agency_code (alias, agency_id, kind, valid_from, revision)
SELECT alias, agency_id, kind, valid_from, $5
  FROM unnest($1::text[], $2::bigint[], $3::text[], $4::date[]) AS rows (alias, agency_id, kind, valid_from)
ON CONFLICT (alias, agency_id) DO NOTHING;

-- name: import_mandates
-- Hubs of imported agencies, with both rights; returns what was written, for the event that tells it.
WITH written AS (
    INSERT INTO mandate (hub_id, agency_id, may_receive, may_sign, valid_from, revision)
    SELECT hub_id, agency_id, true, true, valid_from, $4
      FROM unnest($1::bigint[], $2::bigint[], $3::date[]) AS rows (hub_id, agency_id, valid_from)
    ON CONFLICT (hub_id, agency_id) DO UPDATE
       SET may_receive = true, may_sign = true, valid_until = NULL, revision = excluded.revision
     WHERE mandate.valid_until IS NOT NULL OR NOT mandate.may_receive OR NOT mandate.may_sign
    RETURNING hub_id, agency_id, may_receive, may_sign, valid_from
)
SELECT w.hub_id, h.code AS hub, a.code AS agency, w.may_receive, w.may_sign, w.valid_from
  FROM written w JOIN agency h ON h.agency_id = w.hub_id JOIN agency a ON a.agency_id = w.agency_id
 ORDER BY h.code, w.valid_from, a.code;

-- name: import_successions
-- Who took over from imported agencies that are closed; returns what was written, for the event that tells it.
INSERT INTO succession (old_id, new_id, extent, on_date, revision)
SELECT old_id, new_id, extent, on_date, $5
  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::date[]) AS rows (old_id, new_id, extent, on_date)
ON CONFLICT (old_id, new_id) DO NOTHING
RETURNING old_id, new_id, extent, on_date;
