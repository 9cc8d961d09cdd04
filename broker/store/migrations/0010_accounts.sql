-- People: who may sign in to the pages, their sessions, and what is remembered of their coming and going.

CREATE TABLE account (
    account_id    text PRIMARY KEY CHECK (account_id ~ '^p-[0-9a-f]{16}$'),   -- a pseudonym: all that the log ever holds
    login         text NOT NULL UNIQUE CHECK (login = lower(login) AND length(login) BETWEEN 2 AND 100),
    full_name     text NOT NULL DEFAULT '',
    role          text NOT NULL CHECK (role IN ('operator', 'auditor')),
    root_id       bigint REFERENCES agency,               -- an auditor of this agency's subtree sees nothing else
    password_hash text,                                   -- Argon2id; null: signs in through OpenID Connect only
    oidc_subject  text UNIQUE,                            -- "issuer subject" of the identity provider
    created_at    timestamptz NOT NULL DEFAULT now(),
    password_at   timestamptz,
    disabled_at   timestamptz,
    CHECK (root_id IS NULL OR role = 'auditor')
);

CREATE TABLE account_session (                            -- what a browser holds is known here by its SHA-256 only
    token_hash    bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    account_id    text NOT NULL REFERENCES account,
    created_at    timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL,
    idle_until    timestamptz NOT NULL,
    ends_at       timestamptz NOT NULL
);
CREATE INDEX account_session_account ON account_session (account_id);
CREATE INDEX account_session_ends ON account_session (ends_at);

CREATE TABLE account_device (                             -- browsers from which an account has signed in before
    token_hash    bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    account_id    text NOT NULL REFERENCES account,
    seen_at       timestamptz NOT NULL
);
CREATE INDEX account_device_account ON account_device (account_id);

CREATE TABLE sign_in_delay (                              -- growing delays after failures; subjects are hashed
    subject       bytea PRIMARY KEY CHECK (length(subject) = 32),
    failures      integer NOT NULL,
    last_at       timestamptz NOT NULL,
    not_before    timestamptz NOT NULL
);
CREATE INDEX sign_in_delay_last ON sign_in_delay (last_at);

CREATE TABLE account_record (                             -- sign-ins, failures and denials; append-only for the gateway
    record_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL,
    account_id    text,
    what          text NOT NULL CHECK (what IN ('signed-in', 'sign-in-failed', 'sign-in-delayed', 'signed-out', 'denied')),
    target        text NOT NULL DEFAULT ''
);
CREATE INDEX account_record_at ON account_record (at);

-- A role is missing where the migrating user may not create roles; then its grants are the administrator's (0002).
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_worker') THEN
        GRANT SELECT ON account TO lienthong_worker;
        GRANT SELECT, INSERT, UPDATE, DELETE ON account_session, account_device, sign_in_delay TO lienthong_worker;
        GRANT SELECT, INSERT ON account_record TO lienthong_worker;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_operator') THEN
        GRANT SELECT, INSERT, UPDATE ON account TO lienthong_operator;
        GRANT SELECT, INSERT, UPDATE, DELETE ON account_session, account_device, sign_in_delay TO lienthong_operator;
        GRANT SELECT, INSERT ON account_record TO lienthong_operator;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_auditor') THEN
        GRANT SELECT (account_id, role, root_id, created_at, password_at, disabled_at) ON account TO lienthong_auditor;
        GRANT SELECT ON account_record TO lienthong_auditor;
    END IF;
END $$;

-- The first page names the documents that are held; there are few of them among very many.
CREATE INDEX document_held ON document (held_at) WHERE held_at IS NOT NULL;
