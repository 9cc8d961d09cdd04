-- name: document_seen
-- A document by sender and id, with whether this view sees all of it ($3 null, or its sender in $3).
SELECT d.document_id, $3::bigint[] IS NULL OR d.sender_id = ANY ($3) AS whole
FROM document d JOIN agency s ON s.agency_id = d.sender_id
WHERE d.id = $2 AND s.code = $1
  AND ($3::bigint[] IS NULL OR d.sender_id = ANY ($3)
       OR EXISTS (SELECT FROM delivery v WHERE v.document_id = d.document_id AND v.recipient_id = ANY ($3)))
ORDER BY d.accepted_at DESC LIMIT 1;

-- name: document_anywhere
-- Documents with this id or digest that this view sees: where an id alone leads to.
SELECT s.code AS sender, d.id
FROM document d JOIN agency s ON s.agency_id = d.sender_id
WHERE (d.id = $1 OR d.digest = $2)
  AND ($3::bigint[] IS NULL OR d.sender_id = ANY ($3)
       OR EXISTS (SELECT FROM delivery v WHERE v.document_id = d.document_id AND v.recipient_id = ANY ($3)))
ORDER BY d.accepted_at DESC LIMIT 2;

-- name: document_bytes
-- A document's signed bytes and by whom it was submitted.
SELECT d.jws, d.sent_at, d.accepted_at, d.sender_id, d.submitter_id FROM document d WHERE d.document_id = $1;

-- name: parts
-- A document's parts.
SELECT p.ordinal, p.name, c.size, encode(p.digest, 'hex') AS digest
FROM document_part p JOIN content c ON c.digest = p.digest
WHERE p.document_id = $1 ORDER BY p.ordinal;

-- name: related
-- Documents that this one changes, and those that change it, as far as this view sees them.
SELECT s.code AS sender, d.id, d.number, d.notation, d.action, d.accepted_at, x.changes
FROM (SELECT concerned_id AS other, true AS changes FROM document_concerns WHERE document_id = $1
      UNION ALL
      SELECT document_id, false FROM document_concerns WHERE concerned_id = $1) x
JOIN document d ON d.document_id = x.other
JOIN agency s ON s.agency_id = d.sender_id
WHERE $2::bigint[] IS NULL OR d.sender_id = ANY ($2)
   OR EXISTS (SELECT FROM delivery v WHERE v.document_id = d.document_id AND v.recipient_id = ANY ($2))
ORDER BY d.accepted_at LIMIT 50;

-- name: status_messages
-- The signed messages behind the statuses of one delivery, oldest first.
SELECT e.code, e.at, e.reason, e.staff, e.anomalous, e.recorded_at, m.id, m.jws, m.sent_at, m.accepted_at,
       encode(m.digest, 'hex') AS digest, m.sender_id, c.agency_id AS signer_id, b.code AS by, b.name AS by_name, c.custody
FROM status_entry e
JOIN agency r ON r.agency_id = e.recipient_id
JOIN status_message m ON m.status_message_id = e.status_message_id
JOIN agency b ON b.agency_id = e.by_id
JOIN certificate c ON c.thumbprint = m.thumbprint
WHERE e.document_id = $1 AND r.code = $2 AND ($3::bigint[] IS NULL OR r.agency_id = ANY ($3))
ORDER BY e.at, e.digest, e.item;

-- name: pulse
-- What changes whenever something happens to a document's deliveries.
SELECT count(*) AS deliveries, count(v.arrived_at) AS arrived, count(v.closed_at) AS closed, sum(v.sends) AS sends,
       count(v.overdue_at) AS overdue,
       (SELECT max(e.recorded_at) FROM status_entry e
        WHERE e.document_id = $1 AND ($2::bigint[] IS NULL OR e.recipient_id = ANY ($2))) AS last_status
FROM delivery v WHERE v.document_id = $1 AND ($2::bigint[] IS NULL OR v.recipient_id = ANY ($2));

-- name: agency
-- An agency by its code, the one that exists today first, if this view includes it.
SELECT a.agency_id, a.code, a.name, a.level, a.tier, a.state, a.has_mailbox, a.derived, a.valid_from, a.valid_until,
       p.code AS parent, p.name AS parent_name
FROM agency a LEFT JOIN agency p ON p.agency_id = a.parent_id
WHERE a.code = $1 AND ($2::bigint[] IS NULL OR a.agency_id = ANY ($2))
ORDER BY (a.state = 'closed'), a.valid_until DESC NULLS FIRST, a.agency_id DESC LIMIT 1;

-- name: children
-- Agencies directly below one, open ones.
SELECT code, name, level FROM agency
WHERE parent_id = $1 AND state <> 'closed' AND ($2::bigint[] IS NULL OR agency_id = ANY ($2))
ORDER BY level, code;

-- name: hub_of
-- The hub that receives for an agency; none if it has a mailbox of its own.
SELECT h.code, h.name, m.may_sign FROM mandate m JOIN agency h ON h.agency_id = m.hub_id
  JOIN agency a ON a.agency_id = m.agency_id AND NOT a.has_mailbox
WHERE m.agency_id = $1 AND m.may_receive AND h.state <> 'closed' AND (m.valid_until IS NULL OR m.valid_until > current_date)
ORDER BY m.valid_from DESC LIMIT 1;

-- name: held
-- Documents that an operator keeps back.
SELECT s.code AS sender, s.name AS sender_name, d.id, d.number, d.notation, d.subject, d.held_at
FROM document d JOIN agency s ON s.agency_id = d.sender_id
WHERE d.held_at IS NOT NULL AND ($1::bigint[] IS NULL OR d.sender_id = ANY ($1))
ORDER BY d.held_at LIMIT 20;

-- name: quarantine_count
-- Quarantined messages that wait for a decision.
SELECT count(*) FROM rejection WHERE quarantined AND settled_at IS NULL;

-- name: actions
-- What operators did last; the name of an account where it is one.
SELECT x.at, coalesce(a.login, x.actor) AS actor, x.action, x.target, x.reason
FROM admin_action x LEFT JOIN account a ON a.account_id = x.actor
WHERE $1::text IS NULL OR x.target = $1
ORDER BY x.at DESC, x.action_id DESC LIMIT $2;

-- name: account_records
-- Sign-ins, failures and denials, newest first.
SELECT r.at, coalesce(a.login, r.account_id) AS who, r.what, r.target
FROM account_record r LEFT JOIN account a ON a.account_id = r.account_id
ORDER BY r.at DESC, r.record_id DESC LIMIT $1;

-- name: codes_seen
-- The codes of a document's recipients in a subtree.
SELECT coalesce(array_agg(r.code), '{}') FROM delivery v JOIN agency r ON r.agency_id = v.recipient_id
WHERE v.document_id = $1 AND v.recipient_id = ANY ($2::bigint[]);

-- name: province_above
-- A province by its code, if the agency $2 lies below it.
WITH RECURSIVE above AS (
    SELECT agency_id, parent_id FROM agency WHERE agency_id = $2::bigint
    UNION ALL
    SELECT a.agency_id, a.parent_id FROM agency a JOIN above b ON a.agency_id = b.parent_id)
SELECT a.agency_id, a.code, a.name, a.level FROM agency a JOIN above USING (agency_id)
WHERE a.code = $1 AND a.level = 'province';

-- name: log_origins
-- Every log there was, newest first, with its size.
SELECT o.origin, o.year, o.opened_at, o.closed_at, coalesce(h.size, 0) AS size
FROM log_origin o LEFT JOIN log_head h USING (origin_id) ORDER BY o.origin_id DESC;

-- name: checkpoints
-- The checkpoints that were signed last.
SELECT o.origin, c.size, encode(c.root, 'hex') AS root, c.at, c.note, c.keeper_epoch
FROM checkpoint c JOIN log_origin o USING (origin_id) ORDER BY c.origin_id DESC, c.size DESC LIMIT $1;

-- name: whole_pulse
-- What changes whenever a story changes: deliveries, statuses, changes, what is to leave, refusals, a hold.
SELECT d.held_at, v.*, s.*, q.*, o.unpublished, r.rejections
FROM document d,
     LATERAL (SELECT count(*) AS deliveries, count(arrived_at) AS arrived, count(closed_at) AS closed, sum(sends) AS sends,
                     count(overdue_at) AS overdue, count(dispatched_at) AS dispatched, count(*) FILTER (WHERE recalled) AS recalled,
                     count(*) FILTER (WHERE anomalous) AS anomalous, max(last_sent_at) AS last_sent, max(arrived_at) AS last_arrived,
                     bit_xor(hashtextextended(processing, recipient_id)) AS states
              FROM delivery WHERE document_id = d.document_id) v,
     LATERAL (SELECT count(*) AS statuses, max(recorded_at) AS last_status FROM status_entry WHERE document_id = d.document_id) s,
     LATERAL (SELECT count(*) AS changes, count(answered_at) AS answered, max(answered_at) AS last_answer
              FROM change_request WHERE document_id = d.document_id) q,
     LATERAL (SELECT count(*) AS unpublished FROM outgoing WHERE document_id = d.document_id AND published_at IS NULL) o,
     LATERAL (SELECT count(*) AS rejections FROM rejection WHERE id = d.id::text) r
WHERE d.document_id = $1;

-- name: with_changes
-- A document and those that change it, at any remove, as far as this view sees them.
WITH RECURSIVE related (document_id) AS (
    SELECT $1::bigint
    UNION
    SELECT c.document_id FROM document_concerns c JOIN related r ON c.concerned_id = r.document_id)
SELECT r.document_id FROM related r JOIN document d USING (document_id)
WHERE d.sender_id = ANY ($2::bigint[])
   OR EXISTS (SELECT FROM delivery v WHERE v.document_id = d.document_id AND v.recipient_id = ANY ($2));

-- name: codes_of
-- The codes of agencies.
SELECT code FROM agency WHERE agency_id = ANY ($1::bigint[]);
