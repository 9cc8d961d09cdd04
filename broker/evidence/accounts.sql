-- Accounts for a comparison with the events that tell of them.

-- name: readable
-- Whether this login may read who accounts belong to; the auditor's role may not.
SELECT has_table_privilege('account', 'SELECT');

-- name: whole
-- Accounts with everything that decides who signs in.
SELECT account_id, login, full_name, role, r.code AS subtree, password_hash, oidc_subject, created_at, password_at,
       disabled_at
FROM account LEFT JOIN agency r ON r.agency_id = root_id ORDER BY account_id;

-- name: public
-- What everybody who verifies may read of them.
SELECT account_id, role, r.code AS subtree, created_at, password_at, disabled_at
FROM account LEFT JOIN agency r ON r.agency_id = root_id ORDER BY account_id;

-- name: told
-- What operators did to accounts, in its order.
SELECT body FROM surviving_event
WHERE kind = 'operator_action' AND convert_from(body, 'UTF8') LIKE '%"action":"account.%' ORDER BY epoch, xid, event_id;
