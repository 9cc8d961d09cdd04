-- Changes of a document that has not come yet (contract 3.3): the message itself waits on the retry ladder; this row is
-- what the document's acceptance looks at, so that a recalled document does not go out before its recall is decided.
CREATE TABLE pending_change (
    asked_by      bytea NOT NULL,                         -- digest of the change
    position      smallint NOT NULL,                      -- of the concern in it
    sender_id     bigint NOT NULL REFERENCES agency,      -- who signed the change
    action        text NOT NULL CHECK (action IN ('recall', 'update', 'replace')),
    concerned_id  uuid,                                   -- by reference …
    natural_key   bytea,                                  -- … or by number and notation
    since         timestamptz NOT NULL,
    until         timestamptz NOT NULL,                   -- the ladder has ended by then; nothing is held back longer
    PRIMARY KEY (asked_by, position),
    CHECK ((concerned_id IS NULL) <> (natural_key IS NULL))
);
CREATE INDEX pending_change_sender ON pending_change (sender_id, until);

-- A role is missing where the migrating user may not create roles; then its grants are the administrator's (0002).
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_worker') THEN
        GRANT SELECT, INSERT, DELETE ON pending_change TO lienthong_worker;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_auditor') THEN
        GRANT SELECT ON pending_change TO lienthong_auditor;
    END IF;
END $$;
