-- Who may do what. The roles cannot log in; give them to the logins of a site:
--     GRANT lienthong_worker TO the_workers_login;
-- Roles belong to the whole server, so that a second exchange on it finds them already there. A login that owns the
-- database may do everything anyway (development); one that may not create roles gets a warning and no roles.
--
--   lienthong_worker    intake, dispatch, statuses, gateway: writes documents and events, reads the directory;
--                       may add events, but never change or remove one
--   lienthong_keeper    what the worker may, and deadlines, mailboxes, its lease, next month's partition
--   lienthong_operator  the command line: directory, certificates, operator's actions
--   lienthong_auditor   reads everything here, changes nothing

CREATE INDEX agency_group_revision ON agency_group (revision);
CREATE INDEX succession_revision ON succession (revision);
CREATE INDEX succession_new ON succession (new_id);

-- The keeper makes the event table's next partition without owning the table.
CREATE FUNCTION make_event_partition(month date) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    first_day date := date_trunc('month', month);
    part text := 'event_' || to_char(first_day, 'YYYY_MM');
BEGIN
    IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF event FOR VALUES FROM (%L) TO (%L)', part,
                       first_day::timestamp AT TIME ZONE 'UTC',
                       (first_day + interval '1 month')::timestamp AT TIME ZONE 'UTC');
    END IF;
    RETURN part;
END
$$;
REVOKE ALL ON FUNCTION make_event_partition(date) FROM PUBLIC;

DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['lienthong_worker', 'lienthong_keeper', 'lienthong_operator', 'lienthong_auditor']
    LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role % was not made: % may not create roles. Let an administrator run CREATE ROLE % NOLOGIN and the grants of 0002_roles.sql',
                    wanted, current_user, wanted;
            WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another database of this server made it at the same moment
        END;
    END LOOP;

    IF (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'lienthong\_%') < 4 THEN
        RETURN;
    END IF;

    GRANT SELECT ON agency, agency_code, mandate, agency_group, succession, certificate, directory_revision,
          exchange_epoch, keeper_lease, admin_action, mailbox, schema_migration
       TO lienthong_worker, lienthong_keeper, lienthong_operator, lienthong_auditor;
    GRANT SELECT ON document, document_part, document_concerns, content, delivery, change_request, status_message,
          status_entry, request_message, outgoing, rejection, event
       TO lienthong_worker, lienthong_keeper, lienthong_operator, lienthong_auditor;

    GRANT INSERT, UPDATE ON document, delivery, change_request, status_message, status_entry, request_message,
          outgoing, content
       TO lienthong_worker, lienthong_keeper, lienthong_operator;
    GRANT INSERT ON document_part, document_concerns, rejection, event
       TO lienthong_worker, lienthong_keeper, lienthong_operator;
    GRANT UPDATE ON rejection TO lienthong_operator;

    GRANT INSERT, UPDATE ON mailbox, keeper_lease TO lienthong_keeper;
    GRANT INSERT, UPDATE ON mailbox TO lienthong_operator;
    GRANT DELETE ON outgoing, document_part, content TO lienthong_keeper;
    GRANT EXECUTE ON FUNCTION make_event_partition(date) TO lienthong_keeper;

    GRANT INSERT, UPDATE ON agency, agency_code, mandate, agency_group, succession, certificate TO lienthong_operator;
    GRANT INSERT ON admin_action TO lienthong_operator, lienthong_keeper;
    GRANT USAGE ON SEQUENCE directory_revision, agency_agency_id_seq TO lienthong_operator;
    GRANT UPDATE ON exchange_epoch TO lienthong_operator;
END
$roles$;
