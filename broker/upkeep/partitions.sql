-- Monthly partitions of the event table.

-- name: needed
-- Whether the month's partition is missing and could be made: its events are not in the default partition already.
SELECT to_regclass('event_' || to_char($1::date, 'YYYY_MM')) IS NULL
   AND NOT EXISTS (SELECT FROM event_default
                    WHERE at >= $1::date::timestamp AT TIME ZONE 'UTC'
                      AND at < ($1::date + interval '1 month')::timestamp AT TIME ZONE 'UTC');

-- name: make
-- Make the partition of a month.
SELECT make_event_partition($1::date);
