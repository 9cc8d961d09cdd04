-- Deliveries without 01 to an agency that has closed go to its one successor. The old row stays, closed, and says where
-- its document went; while there is no one successor, it says that the sender was told.
ALTER TABLE delivery ADD COLUMN moved_at timestamptz;                 -- closed because its document goes elsewhere …
ALTER TABLE delivery ADD COLUMN moved_to bigint REFERENCES agency;    -- … to this agency, which has a delivery of its own
ALTER TABLE delivery ADD COLUMN stranded_at timestamptz;              -- the sender was told that nobody takes its place
ALTER TABLE delivery ADD CONSTRAINT delivery_moved CHECK ((moved_at IS NULL) = (moved_to IS NULL));

-- The keeper asks for the open deliveries of ten thousand closed agencies: an entry only for what is open.
CREATE INDEX delivery_recipient_open ON delivery (recipient_id, document_id) WHERE arrived_at IS NULL AND closed_at IS NULL;

-- Figures of moved deliveries, beside those of the other states (0009).
ALTER TABLE rollup_day ADD COLUMN moved integer NOT NULL DEFAULT 0;
ALTER TABLE rollup_month ADD COLUMN moved integer NOT NULL DEFAULT 0;

-- As in 0009, and: what was closed before its recipient said a word, and not by a recall, has moved. With a late 01 it
-- stands where that brings it.
CREATE OR REPLACE FUNCTION delivery_standing(processing text, recalled boolean, arrived_at timestamptz,
                                             overdue_at timestamptz, closed_at timestamptz) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (CASE WHEN recalled THEN 10
                 WHEN processing IN ('accepted', 'dispatched') AND closed_at IS NOT NULL THEN 11
                 ELSE CASE processing WHEN 'accepted' THEN 0 WHEN 'dispatched' THEN 1 WHEN 'arrived' THEN 2
                      WHEN 'received' THEN 3 WHEN 'assigned' THEN 4 WHEN 'processing' THEN 5 WHEN 'completed' THEN 6
                      WHEN 'refused' THEN 7 WHEN 'held' THEN 8 WHEN 'cancelled' THEN 9 END
            END
            + CASE WHEN arrived_at IS NOT NULL THEN 16
                   WHEN overdue_at IS NOT NULL AND closed_at IS NULL THEN 32 ELSE 0 END)::smallint
$$;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_keeper') THEN
        GRANT UPDATE (moved_at, moved_to, stranded_at) ON delivery TO lienthong_keeper;
        GRANT UPDATE (recipients) ON document TO lienthong_keeper;
    END IF;
END $$;
