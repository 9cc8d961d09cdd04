-- What reports and searches read instead of every delivery. The keeper makes it from the log, position by position
-- (broker.upkeep.rollups); workers never touch it. All of it can be thrown away and made again.

CREATE TABLE rollup_position (                            -- how far the log has been taken over
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    origin_id     smallint NOT NULL DEFAULT 0,            -- entries up to (origin_id, position) are taken over
    position      bigint NOT NULL DEFAULT -1,
    event_at      timestamptz,                            -- time of that entry's event
    revision      bigint NOT NULL DEFAULT -1              -- of the directory, for rollup_above
);
INSERT INTO rollup_position DEFAULT VALUES;

CREATE TABLE rollup_queue (                               -- documents to look at again although the log says nothing of them:
    document_id   bigint PRIMARY KEY                      -- an agency of theirs has moved in the directory
);

CREATE TABLE rollup_above (                               -- the agencies above each, as the terms below were made
    agency_id     bigint PRIMARY KEY,
    above         bigint[] NOT NULL
);

CREATE TABLE rollup_document (                            -- each document as it was counted, and the terms it is found by
    document_id   bigint PRIMARY KEY,
    accepted_at   timestamptz NOT NULL,
    day           date NOT NULL,                          -- of Viet Nam
    sender_id     bigint NOT NULL,
    test          boolean NOT NULL,
    recipient_ids bigint[] NOT NULL,                      -- ascending
    standings     smallint[] NOT NULL,                    -- one for each, see delivery_standing
    terms         tsvector NOT NULL                       -- broker.audit.terms
);
CREATE INDEX rollup_document_newest ON rollup_document (accepted_at, document_id);
-- Entries that wait to be sorted in are read by every search: few of them.
CREATE INDEX rollup_document_terms ON rollup_document USING gin (terms) WITH (gin_pending_list_limit = 1024);
-- How common a term is decides how it is searched for.
ALTER TABLE rollup_document ALTER COLUMN terms SET STATISTICS 200;
ALTER TABLE rollup_document SET (autovacuum_analyze_scale_factor = 0.05);

-- Figures of one agency. `sent` counts documents of which it is the sender, all others deliveries to it; those of a state
-- exclude each other and add up to the deliveries. Agency 0 stands for all agencies together.
CREATE TABLE rollup_day (
    agency_id     bigint NOT NULL,
    day           date NOT NULL,                          -- on which the documents were accepted
    sent          integer NOT NULL DEFAULT 0,
    deliveries    integer NOT NULL DEFAULT 0,
    confirmed     integer NOT NULL DEFAULT 0,             -- with the recipient's signed 01
    overdue       integer NOT NULL DEFAULT 0,             -- past their deadline, open and not arrived
    accepted      integer NOT NULL DEFAULT 0,
    dispatched    integer NOT NULL DEFAULT 0,
    arrived       integer NOT NULL DEFAULT 0,
    received      integer NOT NULL DEFAULT 0,
    assigned      integer NOT NULL DEFAULT 0,
    processing    integer NOT NULL DEFAULT 0,
    completed     integer NOT NULL DEFAULT 0,
    refused       integer NOT NULL DEFAULT 0,
    held          integer NOT NULL DEFAULT 0,
    cancelled     integer NOT NULL DEFAULT 0,
    recalled      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (agency_id, day)
) WITH (fillfactor = 70);
CREATE INDEX rollup_day_day ON rollup_day (day, agency_id);

CREATE TABLE rollup_month (LIKE rollup_day INCLUDING DEFAULTS) WITH (fillfactor = 70);
ALTER TABLE rollup_month RENAME COLUMN day TO month;     -- its first day
ALTER TABLE rollup_month ADD PRIMARY KEY (agency_id, month);
CREATE INDEX rollup_month_month ON rollup_month (month, agency_id);

-- Where a delivery stands, as one number: its state's place among the columns above, counted from 0 for `accepted`;
-- 16 more with the signed 01, 32 more if overdue.
CREATE FUNCTION delivery_standing(processing text, recalled boolean, arrived_at timestamptz, overdue_at timestamptz,
                                  closed_at timestamptz) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (CASE WHEN recalled THEN 10
                 ELSE CASE processing WHEN 'accepted' THEN 0 WHEN 'dispatched' THEN 1 WHEN 'arrived' THEN 2
                      WHEN 'received' THEN 3 WHEN 'assigned' THEN 4 WHEN 'processing' THEN 5 WHEN 'completed' THEN 6
                      WHEN 'refused' THEN 7 WHEN 'held' THEN 8 WHEN 'cancelled' THEN 9 END
            END
            + CASE WHEN arrived_at IS NOT NULL THEN 16
                   WHEN overdue_at IS NOT NULL AND closed_at IS NULL THEN 32 ELSE 0 END)::smallint
$$;

-- A document is asked for by its digest or its number, too, the moment after it was accepted.
CREATE INDEX document_digest ON document USING hash (digest);
CREATE INDEX document_number ON document (number, notation);
-- Statuses of one day: rows come in the order of their time, so that this costs a worker nothing.
CREATE INDEX status_entry_recorded ON status_entry USING brin (recorded_at) WITH (pages_per_range = 32);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_keeper') THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON rollup_position, rollup_queue, rollup_above, rollup_document, rollup_day,
              rollup_month TO lienthong_keeper;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_operator') THEN
        GRANT SELECT, TRUNCATE ON rollup_position, rollup_queue, rollup_above, rollup_document, rollup_day, rollup_month
           TO lienthong_operator;
        GRANT UPDATE ON rollup_position TO lienthong_operator;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_worker') THEN
        GRANT SELECT ON rollup_position, rollup_queue, rollup_above, rollup_document, rollup_day, rollup_month
           TO lienthong_worker;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_auditor') THEN
        GRANT SELECT ON rollup_position, rollup_queue, rollup_above, rollup_document, rollup_day, rollup_month
           TO lienthong_auditor;
    END IF;
END $$;
