-- name: write_action
-- Who did what to which dead letter (the digest of its body), and why.
INSERT INTO admin_action (at, actor, action, target, reason) VALUES ($1, $2, $3, $4, $5);

-- name: write_event
-- The event of an operator's action.
INSERT INTO event (at, kind, body, leaf, epoch) VALUES ($1, $2, $3, $4, (SELECT epoch FROM exchange_epoch));
