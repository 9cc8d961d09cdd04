-- Statuses and replays: what is one fact, and how a replay finds messages that went to several mailboxes.

-- An office may answer two changes of a document in the same second: those are two facts.
DROP INDEX status_entry_once;
CREATE UNIQUE INDEX status_entry_once
    ON status_entry (document_id, recipient_id, code, at, by_id, coalesce(answers, ''::bytea));

-- Only a 13 goes to several mailboxes at once; all others are found by their one owner (outgoing_replay).
CREATE INDEX outgoing_replay_many ON outgoing USING gin (owner_ids) WHERE kind = 'status' AND cardinality(owner_ids) > 1;

CREATE INDEX outgoing_status ON outgoing (status_message_id) WHERE status_message_id IS NOT NULL;
CREATE INDEX request_message_open ON request_message (received_at) WHERE done_at IS NULL;
