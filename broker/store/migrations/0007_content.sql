-- The content store over HTTP (contract 6): who has stored what, and tokens that may be used once.

CREATE TABLE content_upload (                             -- an agency has sent these bytes, whole; may name and read them
    agency_id     bigint NOT NULL REFERENCES agency,
    digest        bytea NOT NULL REFERENCES content,
    stored_at     timestamptz NOT NULL,                   -- the last time: content goes when nobody has named it since
    accepted_at   timestamptz,                            -- a document of the agency names it: no longer counted
    PRIMARY KEY (agency_id, digest)
);
CREATE INDEX content_upload_digest ON content_upload (digest);
CREATE INDEX content_upload_waiting ON content_upload (agency_id) WHERE accepted_at IS NULL;

CREATE TABLE used_token (                                 -- a token for PUT works once, at whichever gateway
    thumbprint    bytea NOT NULL,                         -- whose key signed it
    jti           bytea NOT NULL CHECK (length(jti) = 32),-- SHA-256: what a client sends may be of any length
    expires_at    timestamptz NOT NULL,                   -- afterwards its own time refuses it
    PRIMARY KEY (thumbprint, jti)
);
CREATE INDEX used_token_expires ON used_token (expires_at);

-- A role is missing where the migrating user may not create roles; then its grants are the administrator's (0002).
DO $$
DECLARE
    reader text;
BEGIN
    FOREACH reader IN ARRAY ARRAY['lienthong_worker', 'lienthong_keeper', 'lienthong_operator', 'lienthong_auditor']
    LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = reader) THEN
            EXECUTE format('GRANT SELECT ON content_upload TO %I', reader);
        END IF;
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_worker') THEN
        GRANT INSERT, UPDATE ON content_upload TO lienthong_worker;
        GRANT SELECT, INSERT ON used_token TO lienthong_worker;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_keeper') THEN
        GRANT UPDATE, DELETE ON content_upload TO lienthong_keeper;
        GRANT SELECT, DELETE ON used_token TO lienthong_keeper;
    END IF;
END $$;
