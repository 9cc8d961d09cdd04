-- What an operator decided about a quarantined message. The message itself stays, as evidence.
ALTER TABLE rejection ADD COLUMN settled_at timestamptz;
CREATE INDEX rejection_quarantine ON rejection (at) WHERE quarantined AND settled_at IS NULL;
