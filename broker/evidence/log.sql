-- name: state
-- Everything the keeper must know before it adds to the log, and a lock on it until the transaction ends.
SELECT o.origin_id, o.origin, o.year, h.size, h.root, c.epoch, c.xid::text AS xid, c.event_id, c.cluster,
       (SELECT system_identifier FROM pg_control_system()) AS this_cluster,
       pg_snapshot_xmax(pg_current_snapshot())::text AS next_xid,
       (SELECT epoch FROM exchange_epoch) AS exchange_epoch
FROM log_origin o JOIN log_head h USING (origin_id) CROSS JOIN log_cursor c
WHERE o.closed_at IS NULL
FOR UPDATE OF h, c;

-- name: begin_cursor
-- Before the first event.
INSERT INTO log_cursor (epoch, xid, event_id, cluster)
SELECT 0, '0', 0, system_identifier FROM pg_control_system() ON CONFLICT DO NOTHING;

-- name: open_origin
-- Begin a year's log.
INSERT INTO log_origin (origin, year, opened_at) VALUES ($1, $2, $3) RETURNING origin_id;

-- name: begin_head
-- An empty tree.
INSERT INTO log_head (origin_id, size, root, changed_at, keeper_epoch) VALUES ($1, 0, $2, $3, $4);

-- name: close_origin
-- Nothing is added to this log any more.
UPDATE log_origin SET closed_at = $2 WHERE origin_id = $1 AND closed_at IS NULL;

-- name: next_events
-- Events in their safe order: nothing that commits later can come before any of them (design "Evidence").
-- Events of an earlier epoch are all committed; their xids belong to another count.
SELECT e.at, e.event_id, e.body, e.epoch, e.xid::text AS xid
FROM event e
WHERE (e.epoch, e.xid, e.event_id) > ($1::integer, $2::text::xid8, $3::bigint)
  AND (e.epoch < (SELECT epoch FROM exchange_epoch) OR e.xid < pg_snapshot_xmin(pg_current_snapshot()))
  AND NOT EXISTS (SELECT FROM log_entry l WHERE l.event_at = e.at AND l.event_id = e.event_id)
ORDER BY e.epoch, e.xid, e.event_id
LIMIT $4;

-- name: insert_event
-- An event that the keeper itself writes into the log at once.
INSERT INTO event (at, kind, body, leaf, epoch) VALUES ($1, $2, $3, $4, (SELECT epoch FROM exchange_epoch))
RETURNING event_id;

-- name: move_head
-- Size and root after what was added; no row if somebody else added meanwhile.
UPDATE log_head SET size = $3, root = $4, changed_at = $5, keeper_epoch = $6
WHERE origin_id = $1 AND size = $2 RETURNING size;

-- name: move_cursor
-- Everything up to here is in the log.
UPDATE log_cursor SET epoch = $1, xid = $2::text::xid8, event_id = $3;

-- name: leaves
-- Leaf hashes of consecutive positions.
SELECT leaf FROM log_entry WHERE origin_id = $1 AND position >= $2 AND position < $3 ORDER BY position;

-- name: nodes
-- Hashes over consecutive full tiles.
SELECT hash FROM log_node WHERE origin_id = $1 AND level = $2 AND number >= $3 AND number < $4 ORDER BY number;

-- name: bodies
-- The entries of consecutive positions; null where the event is missing.
SELECT e.body FROM log_entry l LEFT JOIN event e ON e.at = l.event_at AND e.event_id = l.event_id
WHERE l.origin_id = $1 AND l.position >= $2 AND l.position < $3 ORDER BY l.position;

-- name: heads
-- Every origin with its committed head and its newest checkpoint, the open one last.
SELECT o.origin_id, o.origin, o.year, o.opened_at, o.closed_at, h.size, h.root, h.changed_at,
       c.size AS signed_size, c.root AS signed_root, c.at AS signed_at, c.note
FROM log_origin o JOIN log_head h USING (origin_id)
     LEFT JOIN LATERAL (SELECT * FROM checkpoint c WHERE c.origin_id = o.origin_id ORDER BY c.size DESC LIMIT 1) c ON true
ORDER BY o.origin_id;

-- name: record_checkpoint
-- What was signed, once for each size. Only what is committed was signed.
INSERT INTO checkpoint (origin_id, size, root, at, keeper_epoch, note, number)
SELECT $1, $2, $3, clock_timestamp(), $4, $5,
       coalesce((SELECT number + 1 FROM checkpoint WHERE origin_id = $1 ORDER BY size DESC LIMIT 1), 0)
ON CONFLICT DO NOTHING;

-- name: signed_sizes
-- Sizes between two sizes for which a checkpoint was signed.
SELECT size FROM checkpoint WHERE origin_id = $1 AND size > $2 AND size < $3 ORDER BY size;

-- name: cursor
-- Where the sequencer stands; no row before the first event.
SELECT epoch, xid::text AS xid, event_id FROM log_cursor;

-- name: unsequenced
-- Events that are not in the log yet, after the cursor $1, $2, $3: how many (up to a limit) and the oldest of them.
-- The cursor comes as values: joined, the planner would think a third of all events lie behind it and read them all.
SELECT count(*) AS unsequenced, min(w.at) AS oldest
FROM (SELECT e.at FROM event e
      WHERE (e.epoch, e.xid, e.event_id) > ($1::integer, $2::text::xid8, $3::bigint)
        AND NOT EXISTS (SELECT FROM log_entry l WHERE l.event_at = e.at AND l.event_id = e.event_id)
      LIMIT $4) w;

-- name: unsigned
-- The oldest event that is in the log and under no checkpoint; of many, among the first of them, up to a limit.
WITH unsigned AS MATERIALIZED (
    SELECT event_at FROM log_entry WHERE origin_id = $1 AND position >= $2 ORDER BY position LIMIT $3)
SELECT min(event_at) FROM unsigned;

-- name: oldest_writer
-- The transaction that has kept its changes to itself the longest: what it wrote, and all that came later, must wait.
SELECT pid::text AS who, coalesce(datname, '?') AS datname, coalesce(application_name, '') AS application_name,
       xact_start AS since
FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
UNION ALL
SELECT 'prepared ' || gid, database, '', prepared FROM pg_prepared_xacts
ORDER BY since LIMIT 1;

-- name: entries_from
-- Entries of one origin in their order, within a range of positions, with the event that each names.
SELECT l.position, l.leaf, l.event_at, l.event_id, e.body, e.leaf AS event_leaf, e.kind, e.event_id IS NULL AS missing,
       e.epoch, e.xid::text AS xid, b.position IS NOT NULL AS put_back
FROM log_entry l LEFT JOIN event e ON e.at = l.event_at AND e.event_id = l.event_id
LEFT JOIN log_put_back b ON b.event_at = l.event_at AND b.event_id = l.event_id
WHERE l.origin_id = $1 AND l.position >= $2 AND l.position < $3
ORDER BY l.position;

-- name: last_position
-- The last entry that there is.
SELECT max(position) FROM log_entry WHERE origin_id = $1;

-- name: time_of_position
-- When the event at a position happened.
SELECT event_at FROM log_entry WHERE origin_id = $1 AND position = $2;

-- name: checkpoints_from
-- What was signed, in order, from a size on.
SELECT size, root, at, note, number FROM checkpoint WHERE origin_id = $1 AND size >= $2 ORDER BY size LIMIT $3;

-- name: long_signed
-- How many entries the newest checkpoint covers that the keeper has had five minutes to publish.
SELECT max(size) FROM checkpoint WHERE origin_id = $1 AND at < now() - interval '5 minutes';

-- name: position_of_leaf
-- Where an event with this leaf stands.
SELECT l.position FROM event e JOIN log_entry l ON l.event_at = e.at AND l.event_id = e.event_id
WHERE e.leaf = $1 AND l.origin_id = $2 LIMIT 1;

-- name: nodes_from
-- Hashes over full tiles, level by level, from a number of the first level on.
SELECT level, number, hash FROM log_node WHERE origin_id = $1 ORDER BY level, number;

-- name: behind_the_cursor
-- Events that the sequencer has passed without giving them a position.
SELECT e.at, e.event_id, e.kind, e.epoch, e.xid::text AS xid
FROM event e, log_cursor c
WHERE (e.epoch, e.xid, e.event_id) <= (c.epoch, c.xid, c.event_id)
  AND NOT EXISTS (SELECT FROM log_entry l WHERE l.event_at = e.at AND l.event_id = e.event_id)
ORDER BY e.epoch, e.xid, e.event_id;

-- name: never_sequenced
-- Events whose transaction has not begun, or whose epoch has not come: the sequencer would never reach them.
SELECT e.at, e.event_id, e.kind, e.epoch, e.xid::text AS xid
FROM event e, exchange_epoch x
WHERE (e.epoch > x.epoch OR (e.epoch = x.epoch AND e.xid >= pg_snapshot_xmax(pg_current_snapshot())))
  AND NOT EXISTS (SELECT FROM log_entry l WHERE l.event_at = e.at AND l.event_id = e.event_id)
ORDER BY e.epoch, e.xid, e.event_id;

-- name: strangers
-- Rows of the log that belong to no origin.
SELECT 'log_entry' AS place, origin_id, count(*) AS many FROM log_entry WHERE origin_id <> ALL ($1::smallint[]) GROUP BY 2
UNION ALL
SELECT 'log_node', origin_id, count(*) FROM log_node WHERE origin_id <> ALL ($1::smallint[]) GROUP BY 2;

-- name: cosignatures_of
-- What witnesses said of a checkpoint.
SELECT witness, at, line FROM cosignature WHERE origin_id = $1 AND size = $2 ORDER BY witness, at;

-- name: raise_epoch
-- Transaction ids count anew from here.
UPDATE exchange_epoch SET epoch = epoch + 1 RETURNING epoch;

-- name: adopt_cluster
-- The server in which the log goes on.
UPDATE log_cursor SET cluster = (SELECT system_identifier FROM pg_control_system());

-- name: event_not_logged
-- An event with these bytes that the database has and the log has not.
SELECT e.event_id FROM event e
WHERE e.leaf = $1 AND e.at = $2 AND e.event_id <> ALL ($3::bigint[])
  AND NOT EXISTS (SELECT FROM log_entry l WHERE l.event_at = e.at AND l.event_id = e.event_id)
ORDER BY e.event_id LIMIT 1;

-- name: put_event_back
-- An event out of the log's own files.
INSERT INTO event (at, kind, body, leaf, epoch) VALUES ($1, $2, $3, $4, $5) RETURNING event_id;

-- name: write_action
-- Who did what, and why.
INSERT INTO admin_action (at, actor, action, target, reason) VALUES ($1, $2, $3, $4, $5);

-- name: cosigned_size
-- The newest checkpoint that a witness has cosigned.
SELECT max(size) FROM cosignature WHERE origin_id = $1 AND witness = $2;

-- name: record_cosignature
-- What a witness said.
INSERT INTO cosignature (origin_id, size, witness, at, line) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING;

-- name: has_timestamp
-- Whether a checkpoint carries a timestamp.
SELECT EXISTS (SELECT FROM checkpoint_timestamp WHERE origin_id = $1 AND size = $2);

-- name: record_timestamp
-- What a timestamp authority said.
INSERT INTO checkpoint_timestamp (origin_id, size, at, authority, token) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING;

-- name: attested
-- Everything that others said about checkpoints, with the note that it was said about.
SELECT o.origin, c.size, c.note, g.witness, g.at, g.line, NULL::bytea AS token
FROM cosignature g JOIN checkpoint c USING (origin_id, size) JOIN log_origin o USING (origin_id)
UNION ALL
SELECT o.origin, c.size, c.note, t.authority, t.at, NULL, t.token
FROM checkpoint_timestamp t JOIN checkpoint c USING (origin_id, size) JOIN log_origin o USING (origin_id)
ORDER BY 1, 2;
