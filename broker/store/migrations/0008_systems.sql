-- Existing office software that speaks the REST protocol: connected systems with their sealed secrets, the keys that the
-- exchange keeps for them, what they submitted, and the packets that wait to be fetched (docs/connect/rest.md).

CREATE TABLE vxp_system (                                 -- one connected system: a hub, or an office of its own
    system_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),  -- `systemid` on the wire, compared exactly
    hub_id        bigint NOT NULL UNIQUE REFERENCES agency, -- whose mailbox and whose key
    state         text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled')),
    addresses     text[] NOT NULL DEFAULT '{}',           -- CIDR; empty: from anywhere
    fresh_seconds integer CHECK (fresh_seconds > 0),      -- how old a timestamp may be; null: as the settings say
    sign_all      boolean NOT NULL DEFAULT false,         -- every parameter that is acted upon has to be signed
    registration  text NOT NULL DEFAULT 'pending' CHECK (registration IN ('refuse', 'pending', 'open')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE vxp_secret (                                 -- more than one while a rotation overlaps
    secret_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system_id     bigint NOT NULL REFERENCES vxp_system,
    sealed        bytea NOT NULL,                         -- AES-GCM under the custody key, which is not in the database
    made_at       timestamptz NOT NULL DEFAULT now(),
    ends_at       timestamptz                             -- null: until the next rotation
);
CREATE INDEX vxp_secret_system ON vxp_secret (system_id);

CREATE TABLE custody_key (                                -- private keys that the exchange keeps for offices
    thumbprint    bytea PRIMARY KEY REFERENCES certificate,
    sealed        bytea NOT NULL,                         -- AES-GCM, bound to the thumbprint
    made_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE vxp_submission (                             -- written before anything is published, published until confirmed
    submission_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system_id     bigint NOT NULL REFERENCES vxp_system,
    kind          text NOT NULL CHECK (kind IN ('document', 'status', 'arrival')),
    doc_id        uuid NOT NULL UNIQUE,                   -- what the client is told, and the manifest's id
    file_digest   bytea,                                  -- SHA-256 of the edXML file; null for an arrival
    from_id       bigint NOT NULL REFERENCES agency,      -- for whom it speaks
    edxml_id      text,                                   -- DocumentId in the file
    digest        bytea NOT NULL,                         -- of the signed manifest
    message       bytea,                                  -- the signed message; null once its fate is known and old
    routing_key   text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    attempt_after bigint NOT NULL DEFAULT 0,              -- newest rejection when it was last given out: older ones are not about it
    attempted_at  timestamptz NOT NULL DEFAULT now(),
    published_at  timestamptz,                            -- confirmed by RabbitMQ
    state         text NOT NULL DEFAULT 'taken' CHECK (state IN ('taken', 'accepted', 'rejected')),
    error         text,                                   -- code of the error catalogue
    detail        jsonb,
    answered      boolean NOT NULL DEFAULT false,         -- the client was told of the rejection in the answer to its request
    UNIQUE (system_id, kind, file_digest)
);
CREATE INDEX vxp_submission_unpublished ON vxp_submission (attempted_at) WHERE published_at IS NULL;
CREATE INDEX vxp_submission_unsettled ON vxp_submission (attempted_at) WHERE state = 'taken';
CREATE INDEX vxp_submission_edxml_id ON vxp_submission (edxml_id) WHERE edxml_id IS NOT NULL;
CREATE INDEX vxp_submission_list ON vxp_submission (system_id, kind, created_at);

CREATE TABLE vxp_packet (                                 -- what a system has to fetch: a document or a status, for one agency
    packet_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    doc_id        uuid NOT NULL UNIQUE,                   -- `docId` on the wire; existing clients name files after it
    system_id     bigint NOT NULL REFERENCES vxp_system,
    agency_id     bigint NOT NULL REFERENCES agency,      -- for whom
    kind          text NOT NULL CHECK (kind IN ('edoc', 'status')),
    from_id       bigint NOT NULL REFERENCES agency,
    document_id   bigint REFERENCES document,             -- the file is written out of the record when it is fetched …
    file          bytea,                                  -- … and of a status it is here
    edxml_id      text,                                   -- DocumentId as the recipient sees it
    source        bytea NOT NULL,                         -- digest of the message that it came in
    item          integer NOT NULL,                       -- which file of that message
    state         text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'processing', 'done', 'failed')),
    available_at  timestamptz NOT NULL DEFAULT now(),     -- end of the lease: not handed out before
    handed_out    integer NOT NULL DEFAULT 0,
    fails         integer NOT NULL DEFAULT 0,
    fail_reason   text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    arrival_id    bigint REFERENCES vxp_submission,       -- the 01 that `done` made
    UNIQUE (system_id, agency_id, source, item),
    CHECK ((kind = 'edoc') = (document_id IS NOT NULL)),
    CHECK ((kind = 'status') = (file IS NOT NULL))
);
-- What can be handed out, in the order in which it became so.
CREATE INDEX vxp_packet_open ON vxp_packet (system_id, kind, available_at) WHERE state IN ('waiting', 'processing');
CREATE INDEX vxp_packet_failed ON vxp_packet (system_id) WHERE state = 'failed';
CREATE INDEX vxp_packet_document ON vxp_packet (document_id) WHERE document_id IS NOT NULL;
CREATE INDEX vxp_packet_edxml_id ON vxp_packet (agency_id, edxml_id) WHERE edxml_id IS NOT NULL;

CREATE TABLE vxp_registration (                           -- what systems asked the directory to be told
    registration_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    system_id     bigint NOT NULL REFERENCES vxp_system,
    wish          text NOT NULL CHECK (wish IN ('register', 'delete')),
    code          text NOT NULL,
    name          text NOT NULL DEFAULT '',
    asked_at      timestamptz NOT NULL DEFAULT now(),
    state         text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'refused')),
    decided_at    timestamptz,
    UNIQUE (system_id, wish, code)
);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_worker') THEN
        GRANT SELECT ON vxp_system, vxp_secret, custody_key TO lienthong_worker;
        GRANT SELECT, INSERT, UPDATE ON vxp_submission, vxp_packet, vxp_registration TO lienthong_worker;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_operator') THEN
        GRANT SELECT, INSERT, UPDATE ON vxp_system, vxp_secret, custody_key TO lienthong_operator;
        GRANT SELECT, UPDATE ON vxp_packet, vxp_registration TO lienthong_operator;
        GRANT SELECT ON vxp_submission TO lienthong_operator;
        GRANT DELETE ON vxp_secret TO lienthong_operator;
    END IF;
    -- An auditor sees who is connected and what was fetched, and no secret.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_auditor') THEN
        GRANT SELECT ON vxp_system, vxp_submission, vxp_packet, vxp_registration TO lienthong_auditor;
    END IF;
END $$;
