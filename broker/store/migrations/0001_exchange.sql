-- The exchange's records: directory, documents, deliveries, statuses, what must leave, and events.
-- Rules: design "Data"; contract sections 2, 5, 7 and 9. No contrib extension is used.

-- ── Directory ────────────────────────────────────────────────────────────────────────────────────
-- Every change of the directory takes this sequence's next value while it holds an advisory lock,
-- so that revisions become visible in order and a worker can load just what is newer than it knows.
CREATE SEQUENCE directory_revision;

CREATE TABLE agency (
    agency_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code        text NOT NULL CHECK (code = upper(code) AND length(code) BETWEEN 1 AND 35),
    name        text NOT NULL,
    level       text NOT NULL CHECK (level IN ('ministry', 'province', 'department', 'district', 'commune', 'hub', 'exchange')),
    tier        smallint CHECK (tier BETWEEN 1 AND 3),
    parent_id   bigint REFERENCES agency,
    state       text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended', 'closed')),
    has_mailbox boolean NOT NULL DEFAULT false,           -- has a connection, hence a queue, of its own
    derived     boolean NOT NULL DEFAULT false,           -- the code is derived for demonstration, not official
    nso_code    text,
    valid_from  date NOT NULL DEFAULT '2019-03-12',
    valid_until date,                                     -- first day on which it no longer exists
    revision    bigint NOT NULL DEFAULT nextval('directory_revision'),
    CHECK (valid_until IS NULL OR valid_until > valid_from)
);
-- A code is unique at a time, not for ever: the same string may mean another commune after a reform.
CREATE UNIQUE INDEX agency_open_code ON agency (code) WHERE state <> 'closed';
CREATE INDEX agency_code_all ON agency (code);
CREATE INDEX agency_parent ON agency (parent_id);
CREATE INDEX agency_revision ON agency (revision);

CREATE TABLE agency_code (                                -- aliases: the older form, local variants
    alias       text NOT NULL,
    agency_id   bigint NOT NULL REFERENCES agency,
    kind        text NOT NULL CHECK (kind IN ('qcvn102', 'local', 'former')),
    valid_from  date NOT NULL DEFAULT '2019-03-12',
    valid_until date,
    revision    bigint NOT NULL DEFAULT nextval('directory_revision'),
    PRIMARY KEY (alias, agency_id)
);
CREATE INDEX agency_code_revision ON agency_code (revision);

CREATE TABLE mandate (                                    -- what a hub may do for an agency without a connection
    hub_id      bigint NOT NULL REFERENCES agency,
    agency_id   bigint NOT NULL REFERENCES agency,
    may_receive boolean NOT NULL,
    may_sign    boolean NOT NULL,
    valid_from  date NOT NULL DEFAULT '2019-03-12',
    valid_until date,
    revision    bigint NOT NULL DEFAULT nextval('directory_revision'),
    PRIMARY KEY (hub_id, agency_id)
);
CREATE INDEX mandate_agency ON mandate (agency_id);
CREATE INDEX mandate_revision ON mandate (revision);

CREATE TABLE agency_group (
    name        text PRIMARY KEY CHECK (name LIKE 'group:%'),
    title       text NOT NULL,
    member_ids  bigint[] NOT NULL,
    revision    bigint NOT NULL DEFAULT nextval('directory_revision')
);

CREATE TABLE succession (
    old_id      bigint NOT NULL REFERENCES agency,
    new_id      bigint NOT NULL REFERENCES agency,
    extent      text NOT NULL CHECK (extent IN ('whole', 'main part', 'part')),
    on_date     date NOT NULL,
    revision    bigint NOT NULL DEFAULT nextval('directory_revision'),
    PRIMARY KEY (old_id, new_id)
);

CREATE TABLE certificate (
    thumbprint  bytea PRIMARY KEY CHECK (length(thumbprint) = 32),   -- SHA-256 of the DER
    agency_id   bigint NOT NULL REFERENCES agency,                   -- by enrolment, never by subject
    der         bytea NOT NULL,
    chain       bytea[] NOT NULL DEFAULT '{}',                       -- DER of intermediates up to the root
    custody     text NOT NULL DEFAULT 'agency' CHECK (custody IN ('agency', 'broker')),
    not_before  timestamptz NOT NULL,
    not_after   timestamptz NOT NULL,
    enrolled_at timestamptz NOT NULL DEFAULT now(),
    revoked_at  timestamptz,
    revoked_why text,
    revision    bigint NOT NULL DEFAULT nextval('directory_revision')
);
CREATE INDEX certificate_agency ON certificate (agency_id);
CREATE INDEX certificate_revision ON certificate (revision);

-- ── Documents and deliveries ─────────────────────────────────────────────────────────────────────
CREATE TABLE content (                                    -- parts, by digest
    digest      bytea PRIMARY KEY CHECK (length(digest) = 32),
    size        bigint NOT NULL CHECK (size >= 0),
    inline      bytea,                                    -- small parts live here …
    place       text,                                     -- … others in the content store
    stored_at   timestamptz NOT NULL DEFAULT now(),
    CHECK ((inline IS NULL) <> (place IS NULL))
);

CREATE TABLE document (                                   -- not partitioned: (sender, id) must be unique for ever
    document_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sender_id     bigint NOT NULL REFERENCES agency,
    id            uuid NOT NULL,
    digest        bytea NOT NULL CHECK (length(digest) = 32),
    jws           bytea NOT NULL,                         -- {"protected","payload","signature"} as signed
    action        text NOT NULL CHECK (action IN ('new', 'recall', 'update', 'replace')),
    priority      smallint NOT NULL DEFAULT 0,
    test          boolean NOT NULL DEFAULT false,
    number        text NOT NULL DEFAULT '',
    notation      text NOT NULL DEFAULT '',
    issued_on     date,
    type          text NOT NULL DEFAULT '',
    subject       text NOT NULL DEFAULT '',
    natural_key   bytea,                                  -- SHA-256 of (from, year, number, notation), contract 2.2
    thumbprint    bytea NOT NULL REFERENCES certificate,  -- who signed
    submitter_id  bigint NOT NULL REFERENCES agency,      -- the AMQP user: the sender or its hub
    via           jsonb,
    sent_at       timestamptz NOT NULL,
    accepted_at   timestamptz NOT NULL,
    leaf          bytea NOT NULL,                         -- of its acceptance event (the first, if split)
    log_by        timestamptz NOT NULL,
    recipients    integer NOT NULL,
    unresolved    jsonb NOT NULL DEFAULT '[]',
    warnings      jsonb NOT NULL DEFAULT '[]',
    held_at       timestamptz,                            -- an operator's hold, before dispatch
    UNIQUE (sender_id, id)
);
CREATE INDEX document_natural_key ON document (natural_key) WHERE action = 'new';
CREATE INDEX document_accepted_at ON document (accepted_at);
CREATE INDEX document_id_only ON document (id);

CREATE TABLE document_part (
    document_id   bigint NOT NULL REFERENCES document,
    ordinal       smallint NOT NULL,
    digest        bytea NOT NULL REFERENCES content,
    name          text NOT NULL,
    PRIMARY KEY (document_id, ordinal)
);
CREATE INDEX document_part_digest ON document_part (digest);

CREATE TABLE document_concerns (                          -- what a recall, update or replace changes
    document_id   bigint NOT NULL REFERENCES document,
    concerned_id  bigint NOT NULL REFERENCES document,
    PRIMARY KEY (document_id, concerned_id)
);
CREATE INDEX document_concerns_concerned ON document_concerns (concerned_id);

CREATE TABLE delivery (
    document_id   bigint NOT NULL REFERENCES document,
    recipient_id  bigint NOT NULL REFERENCES agency,
    owner_id      bigint NOT NULL REFERENCES agency,      -- whose mailbox it went to
    addressed_as  text NOT NULL,                          -- what the sender wrote
    processing    text NOT NULL DEFAULT 'accepted',       -- schemas.states decides; this is its projection
    recalled      boolean NOT NULL DEFAULT false,
    anomalous     boolean NOT NULL DEFAULT false,
    due_arrival   timestamptz NOT NULL,                   -- 01 expected by then
    overdue_at    timestamptz,
    dispatched_at timestamptz,                            -- handed to RabbitMQ with its confirm
    arrived_at    timestamptz,                            -- signed 'at' of the 01
    closed_at     timestamptz,                            -- refused, completed or recalled
    sends         smallint NOT NULL DEFAULT 0,            -- copies handed over so far
    last_sent_at  timestamptz,
    PRIMARY KEY (document_id, recipient_id)
);
CREATE INDEX delivery_owner_open ON delivery (owner_id, document_id) WHERE arrived_at IS NULL AND closed_at IS NULL;
CREATE INDEX delivery_due ON delivery (due_arrival) WHERE arrived_at IS NULL AND closed_at IS NULL AND overdue_at IS NULL;
CREATE INDEX delivery_recipient ON delivery (recipient_id, document_id);

CREATE TABLE change_request (                             -- the change axis: one row per asking message and recipient
    document_id   bigint NOT NULL,                        -- the document to be changed
    recipient_id  bigint NOT NULL,
    asked_by      bytea NOT NULL,                         -- digest of the asking message
    kind          text NOT NULL CHECK (kind IN ('recall', 'update', 'replace', 'take-back')),
    asking_document_id bigint REFERENCES document,
    asking_status_id   bigint,
    state         text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'agreed', 'refused_change')),
    asked_at      timestamptz NOT NULL,
    answered_at   timestamptz,
    PRIMARY KEY (document_id, recipient_id, asked_by),
    FOREIGN KEY (document_id, recipient_id) REFERENCES delivery (document_id, recipient_id)
);

-- ── Statuses ─────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE status_message (
    status_message_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sender_id     bigint NOT NULL REFERENCES agency,
    id            uuid NOT NULL,
    digest        bytea NOT NULL,
    jws           bytea NOT NULL,
    thumbprint    bytea NOT NULL REFERENCES certificate,
    concerns_sender_id bigint NOT NULL REFERENCES agency, -- all items concern documents of one sender
    sent_at       timestamptz NOT NULL,
    accepted_at   timestamptz NOT NULL,
    leaf          bytea NOT NULL,
    log_by        timestamptz NOT NULL,
    refused_items jsonb NOT NULL DEFAULT '[]',
    UNIQUE (sender_id, id)
);

CREATE TABLE status_entry (                               -- one fact about one delivery; states are computed from these
    document_id   bigint NOT NULL,
    recipient_id  bigint NOT NULL,
    status_message_id bigint NOT NULL REFERENCES status_message,
    item          smallint NOT NULL,
    by_id         bigint NOT NULL REFERENCES agency,      -- who signed
    code          text NOT NULL,
    at            timestamptz NOT NULL,                   -- signed time of the fact
    digest        bytea NOT NULL,                         -- of the status message: breaks ties
    reason        text,
    staff         jsonb,
    answers       bytea,                                  -- digest of the asking message, for 15 and 16
    anomalous     boolean NOT NULL DEFAULT false,
    recorded_at   timestamptz NOT NULL,
    PRIMARY KEY (document_id, recipient_id, status_message_id, item),
    FOREIGN KEY (document_id, recipient_id) REFERENCES delivery (document_id, recipient_id)
);
CREATE UNIQUE INDEX status_entry_once ON status_entry (document_id, recipient_id, code, at, by_id);

CREATE TABLE request_message (
    sender_id     bigint NOT NULL REFERENCES agency,
    id            uuid NOT NULL,
    digest        bytea NOT NULL,
    request       text NOT NULL,
    since         timestamptz NOT NULL,
    received_at   timestamptz NOT NULL,
    done_at       timestamptz,
    PRIMARY KEY (sender_id, id)
);

-- ── What must leave ──────────────────────────────────────────────────────────────────────────────
CREATE TABLE outgoing (
    outgoing_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('document', 'status', 'notice')),
    document_id   bigint REFERENCES document,
    status_message_id bigint REFERENCES status_message,
    notice        bytea,                                  -- the signed notice, ready to send
    owner_ids     bigint[] NOT NULL,                      -- mailboxes served by this one publish, at most 500
    recipient_ids bigint[],                               -- hub and rerouted copies: for whom; otherwise the owners are meant
    attempt       smallint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    published_at  timestamptz,
    CHECK ((kind = 'document') = (document_id IS NOT NULL)),
    CHECK ((kind = 'status') = (status_message_id IS NOT NULL)),
    CHECK ((kind = 'notice') = (notice IS NOT NULL))
);
CREATE INDEX outgoing_unpublished ON outgoing (created_at) WHERE published_at IS NULL;
CREATE INDEX outgoing_document ON outgoing (document_id) WHERE document_id IS NOT NULL;
CREATE INDEX outgoing_replay ON outgoing ((owner_ids[1]), created_at) WHERE kind <> 'document';

-- ── Refusals, operators, mailboxes ───────────────────────────────────────────────────────────────
CREATE TABLE rejection (
    rejection_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL,
    amqp_user     text,
    kind          text,
    claimed_from  text,
    id            text,
    digest        bytea,
    message_id    text,
    code          text NOT NULL,                          -- of the error catalogue
    detail        jsonb NOT NULL,                         -- field, found, expected, candidates
    verdict       jsonb,                                  -- cryptography, trust, policy; null if not reached
    body          bytea,                                  -- quarantined messages only
    quarantined   boolean NOT NULL DEFAULT false
);
CREATE INDEX rejection_at ON rejection (at);
CREATE INDEX rejection_id_from ON rejection (id, claimed_from);

CREATE TABLE mailbox (                                    -- what the keeper knows of each queue
    owner_id      bigint PRIMARY KEY REFERENCES agency,
    generation    integer NOT NULL DEFAULT 1,             -- raised each time the queue had to be made again
    created_at    timestamptz NOT NULL DEFAULT now(),
    reset_at      timestamptz                             -- made again, redelivery not finished yet
);

CREATE TABLE keeper_lease (
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch         bigint NOT NULL,                        -- raised by each taking over; a fence for everything the keeper writes
    holder        text NOT NULL,
    expires_at    timestamptz NOT NULL
);

CREATE TABLE admin_action (
    action_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL DEFAULT now(),
    actor         text NOT NULL,
    action        text NOT NULL,
    target        text NOT NULL,
    reason        text NOT NULL
);

-- ── Events ───────────────────────────────────────────────────────────────────────────────────────
CREATE TABLE exchange_epoch (                             -- raised after a restore, when transaction ids start anew
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch         integer NOT NULL
);
INSERT INTO exchange_epoch (epoch) VALUES (1);

CREATE TABLE event (                                      -- append-only; the bytes count, columns are projections
    event_id      bigint GENERATED ALWAYS AS IDENTITY,
    at            timestamptz NOT NULL,
    kind          text NOT NULL,
    body          bytea NOT NULL,                         -- canonical JSON, RFC 8785
    leaf          bytea NOT NULL,                         -- SHA-256(0x00 ‖ body)
    document_id   bigint,
    agency_id     bigint,
    epoch         integer NOT NULL DEFAULT 1,
    xid           xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (at, event_id)
) PARTITION BY RANGE (at);
CREATE TABLE event_default PARTITION OF event DEFAULT;
CREATE INDEX event_at ON event USING brin (at);
CREATE INDEX event_document ON event (document_id) WHERE document_id IS NOT NULL;
CREATE INDEX event_leaf ON event (leaf);
