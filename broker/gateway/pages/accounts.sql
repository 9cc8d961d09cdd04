-- name: add_account
-- A new account.
INSERT INTO account (account_id, login, full_name, role, root_id, password_hash, oidc_subject, password_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING RETURNING account_id;

-- name: account_by_login
-- The account that signs in under this name.
SELECT account_id, login, full_name, role, root_id, r.code AS root, r.name AS root_name, password_hash, oidc_subject,
       created_at, disabled_at
FROM account LEFT JOIN agency r ON r.agency_id = root_id WHERE login = $1;

-- name: account_by_subject
-- The account of a person whom the identity provider has named.
SELECT account_id, login, full_name, role, root_id, r.code AS root, r.name AS root_name, password_hash, oidc_subject,
       created_at, disabled_at
FROM account LEFT JOIN agency r ON r.agency_id = root_id WHERE oidc_subject = $1;

-- name: list_accounts
-- All accounts.
SELECT account_id, login, full_name, role, root_id, r.code AS root, r.name AS root_name, password_hash, oidc_subject,
       created_at, disabled_at
FROM account LEFT JOIN agency r ON r.agency_id = root_id ORDER BY login;

-- name: set_password
-- Another password.
UPDATE account SET password_hash = $2, password_at = $3 WHERE account_id = $1;

-- name: set_disabled
-- Disable an account, or (null) enable it again.
UPDATE account SET disabled_at = $2 WHERE account_id = $1;

-- name: row_told
-- An account's row, for the event that tells it. One of before without a password gets what stands in its place now.
UPDATE account SET password_hash = coalesce(password_hash, $2) WHERE account_id = $1
RETURNING login, full_name, role, (SELECT code FROM agency WHERE agency_id = root_id) AS subtree, password_hash,
          oidc_subject, created_at, password_at, disabled_at;

-- name: end_sessions
-- End every session of an account.
DELETE FROM account_session WHERE account_id = $1;

-- name: forget_devices
-- Browsers known for an account are known no longer.
DELETE FROM account_device WHERE account_id = $1;

-- name: forget_device
-- A browser's earlier token is replaced.
DELETE FROM account_device WHERE token_hash = $1;

-- name: write_action
-- What an operator did to an account, and why.
INSERT INTO admin_action (at, actor, action, target, reason) VALUES ($1, $2, $3, $4, $5);

-- name: write_event
-- The event of an operator's action.
INSERT INTO event (at, kind, body, leaf, epoch) VALUES ($1, $2, $3, $4, (SELECT epoch FROM exchange_epoch));

-- name: open_session
-- A session begins.
INSERT INTO account_session (token_hash, account_id, created_at, seen_at, idle_until, ends_at)
VALUES ($1, $2, $3, $3, $4, $5);

-- name: session
-- A session that has not ended, with its account if that may still be used.
SELECT s.seen_at, s.idle_until, s.ends_at, a.account_id, a.login, a.full_name, a.role, a.root_id, r.code AS root,
       r.name AS root_name, a.password_hash, a.oidc_subject, a.created_at, a.disabled_at
FROM account_session s JOIN account a USING (account_id) LEFT JOIN agency r ON r.agency_id = a.root_id
WHERE s.token_hash = $1 AND s.idle_until > $2 AND s.ends_at > $2 AND a.disabled_at IS NULL;

-- name: seen
-- A session is in use: it stays open a while longer, never beyond its end.
UPDATE account_session SET seen_at = $2, idle_until = least($3, ends_at) WHERE token_hash = $1;

-- name: end_session
-- A session ends.
DELETE FROM account_session WHERE token_hash = $1 RETURNING account_id;

-- name: sweep_sessions
-- Sessions that have ended need no row.
DELETE FROM account_session WHERE ends_at < $1 OR idle_until < $1;

-- name: sweep_delays
-- Failures of long ago are forgotten.
DELETE FROM sign_in_delay WHERE last_at < $1;

-- name: failed
-- One more attempt; the row is locked until the transaction ends. Gives how long earlier ones have to wait.
INSERT INTO sign_in_delay (subject, failures, last_at, not_before) VALUES ($1, 1, $2, $2)
ON CONFLICT (subject) DO UPDATE SET
    failures = CASE WHEN sign_in_delay.last_at < $3 THEN 1 ELSE sign_in_delay.failures + 1 END, last_at = $2
RETURNING failures, not_before;

-- name: delay_until
-- How long the next attempt has to wait.
UPDATE sign_in_delay SET not_before = $2 WHERE subject = $1;

-- name: forgive
-- A success clears what its own subject had to wait for.
DELETE FROM sign_in_delay WHERE subject = ANY ($1::bytea[]);

-- name: not_failed
-- The attempt that was counted beforehand succeeded.
UPDATE sign_in_delay SET failures = greatest(failures - 1, 0), not_before = $2 WHERE subject = ANY ($1::bytea[]);

-- name: longest_delay
-- Until when the next attempt has to wait.
SELECT max(not_before) FROM sign_in_delay WHERE subject = ANY ($1::bytea[]);

-- name: device_known
-- Whether the account has signed in from this browser before.
SELECT true FROM account_device WHERE token_hash = $1 AND account_id = $2;

-- name: remember_device
-- The account has signed in from this browser.
INSERT INTO account_device (token_hash, account_id, seen_at) VALUES ($1, $2, $3)
ON CONFLICT (token_hash) DO UPDATE SET account_id = $2, seen_at = $3;

-- name: record
-- A sign-in, a failure, a denial.
INSERT INTO account_record (at, account_id, what, target) VALUES ($1, $2, $3, $4);
