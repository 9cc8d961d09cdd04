-- What 0012 left wider than any program needs: nobody may change the bytes of a part or say by himself in which transaction an
-- event was written (the log's order), and nothing of a document is ever removed. To lock a row takes the right to change
-- one of its columns.
DO $$
BEGIN
    IF (SELECT count(*) FROM pg_roles
         WHERE rolname IN ('lienthong_worker', 'lienthong_keeper', 'lienthong_operator')) < 3 THEN
        RETURN;  -- the grants are the administrator's then (0002)
    END IF;

    REVOKE UPDATE ON content FROM lienthong_worker, lienthong_keeper, lienthong_operator;
    GRANT UPDATE (stored_at) ON content TO lienthong_worker, lienthong_keeper;

    REVOKE INSERT ON event FROM lienthong_worker, lienthong_keeper, lienthong_operator;
    GRANT INSERT (at, kind, body, leaf, document_id, agency_id, epoch) ON event
       TO lienthong_worker, lienthong_keeper, lienthong_operator;

    REVOKE DELETE ON document_part, outgoing FROM lienthong_keeper;
END $$;
