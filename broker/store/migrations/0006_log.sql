-- The log (design "Evidence"; contract section 9): which event stands at which position, the tree over them, and what was
-- signed. Positions, size and root commit together under the keeper's lease; only what is committed is ever signed.
-- Nothing here references `event` by a foreign key: the keeper must keep up with the workers, and `audit verify` checks it.

CREATE TABLE log_origin (                                 -- one log a year; another one in the same year only if a log was lost
    origin_id     smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin        text NOT NULL UNIQUE,                   -- first line of its checkpoints, e.g. lt.exchange/2026
    year          smallint NOT NULL,
    opened_at     timestamptz NOT NULL,
    closed_at     timestamptz
);
CREATE UNIQUE INDEX log_origin_open ON log_origin ((true)) WHERE closed_at IS NULL;

CREATE TABLE log_entry (                                  -- the order of the log is (origin_id, position)
    origin_id     smallint NOT NULL,
    position      bigint NOT NULL,                        -- from 0 in each origin
    event_at      timestamptz NOT NULL,
    event_id      bigint NOT NULL,
    leaf          bytea NOT NULL,                         -- SHA-256(0x00 ‖ the event's body)
    PRIMARY KEY (origin_id, position)
);
-- Not partitioned, so that this holds over all years: an event is in the log once.
CREATE UNIQUE INDEX log_entry_event ON log_entry (event_at, event_id);

CREATE TABLE log_node (                                   -- the hash over each full tile: what the tile level above holds
    origin_id     smallint NOT NULL,
    level         smallint NOT NULL CHECK (level BETWEEN 1 AND 7),
    number        bigint NOT NULL,                        -- of the full tile at level - 1, from 0
    hash          bytea NOT NULL,
    PRIMARY KEY (origin_id, level, number)
);

CREATE TABLE log_head (                                   -- size and root that the entries and nodes of an origin add up to
    origin_id     smallint PRIMARY KEY REFERENCES log_origin,
    size          bigint NOT NULL,
    root          bytea NOT NULL,
    changed_at    timestamptz NOT NULL,
    keeper_epoch  bigint NOT NULL
);

CREATE TABLE log_cursor (                                 -- where the sequencer stands among the events
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch         integer NOT NULL,                       -- everything up to (epoch, xid, event_id) is in the log
    xid           xid8 NOT NULL,
    event_id      bigint NOT NULL,
    cluster       bigint NOT NULL                         -- the server's identifier: xids of another server mean nothing here
);

CREATE TABLE log_put_back (                               -- events that a restored database knows from the log's files only
    event_at      timestamptz NOT NULL,
    event_id      bigint NOT NULL,
    origin_id     smallint NOT NULL,
    position      bigint NOT NULL,
    PRIMARY KEY (event_at, event_id)
);
-- What those events tell of was lost in the restore, so that no row can be held against them.
CREATE VIEW surviving_event AS
SELECT e.* FROM event e
WHERE NOT EXISTS (SELECT FROM log_put_back b WHERE b.event_at = e.at AND b.event_id = e.event_id);

CREATE TABLE checkpoint (                                 -- everything that was signed, as it was signed; never changed
    origin_id     smallint NOT NULL REFERENCES log_origin,
    size          bigint NOT NULL,
    root          bytea NOT NULL,
    at            timestamptz NOT NULL,
    keeper_epoch  bigint NOT NULL,
    note          bytea NOT NULL,                         -- C2SP signed note
    number        bigint NOT NULL,                        -- counts the origin's checkpoints from 0: a gap is a removed row
    PRIMARY KEY (origin_id, size)
);

CREATE TABLE cosignature (                                -- what witnesses said about a checkpoint
    origin_id     smallint NOT NULL,
    size          bigint NOT NULL,
    witness       text NOT NULL,                          -- the name in its key
    at            timestamptz NOT NULL,                   -- its own time, signed
    line          text NOT NULL,                          -- the signature line
    PRIMARY KEY (origin_id, size, witness, line),
    FOREIGN KEY (origin_id, size) REFERENCES checkpoint
);

CREATE TABLE checkpoint_timestamp (                       -- RFC 3161 tokens over the bytes of a checkpoint's note
    origin_id     smallint NOT NULL,
    size          bigint NOT NULL,
    at            timestamptz NOT NULL,                   -- the authority's time, signed
    authority     text NOT NULL,                          -- address that was asked
    token         bytea NOT NULL,                         -- the response, DER
    PRIMARY KEY (origin_id, size, at),
    FOREIGN KEY (origin_id, size) REFERENCES checkpoint
);

-- The sequencer's order. xids only grow, so a worker's insert always meets the index's last page.
CREATE INDEX event_order ON event (epoch, xid, event_id);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_keeper') THEN
        GRANT SELECT ON log_origin, log_entry, log_node, log_head, log_cursor, checkpoint, cosignature, checkpoint_timestamp,
              log_put_back, surviving_event
           TO lienthong_keeper;
        GRANT INSERT ON log_origin, log_entry, log_node, log_head, log_cursor, checkpoint, cosignature, checkpoint_timestamp
           TO lienthong_keeper;
        GRANT UPDATE ON log_head, log_cursor TO lienthong_keeper;
        GRANT UPDATE (closed_at) ON log_origin TO lienthong_keeper;
        GRANT USAGE ON SEQUENCE log_origin_origin_id_seq TO lienthong_keeper;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_worker') THEN
        GRANT SELECT ON log_origin, log_entry, log_node, log_head, log_cursor, checkpoint, cosignature, checkpoint_timestamp,
              log_put_back, surviving_event
           TO lienthong_worker;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_operator') THEN
        GRANT SELECT ON log_origin, log_entry, log_node, log_head, log_cursor, checkpoint, cosignature, checkpoint_timestamp,
              log_put_back, surviving_event
           TO lienthong_operator;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_auditor') THEN
        GRANT SELECT ON log_origin, log_entry, log_node, log_head, log_cursor, checkpoint, cosignature, checkpoint_timestamp,
              log_put_back, surviving_event
           TO lienthong_auditor;
    END IF;
END $$;
