-- Bundles of evidence look up what the log says about the agencies that sign in them. Only events about the directory
-- name an agency, so the index is as small as the directory's history.
CREATE INDEX event_agency ON event (agency_id) WHERE agency_id IS NOT NULL;
