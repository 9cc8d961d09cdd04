-- Recalls, updates, replacements and take-backs are to be answered by a deadline as well (contract section 7).
ALTER TABLE change_request ADD COLUMN overdue_at timestamptz;
CREATE INDEX change_request_open ON change_request (asked_at) WHERE state = 'asked' AND overdue_at IS NULL;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_keeper') THEN
        GRANT UPDATE (overdue_at) ON change_request TO lienthong_keeper;
    END IF;
END $$;
