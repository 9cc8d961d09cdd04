-- What a program may change is now said column by column: a worker can move a delivery on, and cannot touch the signed
-- bytes, the digests, or who sent what to whom and when. (FOR UPDATE needs the right to one column only.)
DO $$
BEGIN
    IF (SELECT count(*) FROM pg_roles
         WHERE rolname IN ('lienthong_worker', 'lienthong_keeper', 'lienthong_operator')) < 3 THEN
        RETURN;  -- the grants are the administrator's then (0002)
    END IF;

    REVOKE UPDATE ON document, delivery, change_request, status_message, status_entry, request_message, outgoing
      FROM lienthong_worker, lienthong_keeper, lienthong_operator;
    REVOKE UPDATE ON rejection FROM lienthong_operator;

    GRANT UPDATE (recipients) ON document TO lienthong_worker;
    GRANT UPDATE (held_at) ON document TO lienthong_operator;
    GRANT UPDATE (processing, recalled, anomalous, arrived_at, closed_at, dispatched_at, sends, last_sent_at, overdue_at)
       ON delivery TO lienthong_worker, lienthong_keeper;
    GRANT UPDATE (processing, closed_at) ON delivery TO lienthong_operator;
    GRANT UPDATE (state, answered_at) ON change_request TO lienthong_worker, lienthong_keeper;
    GRANT UPDATE (anomalous) ON status_entry TO lienthong_worker, lienthong_keeper;
    GRANT UPDATE (done_at) ON request_message TO lienthong_worker, lienthong_keeper;
    GRANT UPDATE (published_at, created_at) ON outgoing TO lienthong_worker, lienthong_keeper, lienthong_operator;
    GRANT UPDATE (settled_at) ON rejection TO lienthong_operator;
END $$;

-- The keeper looks whether the month that begins has events in the partition for everything else.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'lienthong_keeper') THEN
        GRANT SELECT ON event_default TO lienthong_keeper;
    END IF;
END $$;
