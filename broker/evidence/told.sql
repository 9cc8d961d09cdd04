-- name: directory
-- What the directory's events tell, and how they describe its rows, in their order.
SELECT body FROM surviving_event WHERE kind IN ('directory_changed', 'directory_described') ORDER BY epoch, xid, event_id;
