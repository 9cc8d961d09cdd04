-- People name a document by its number and notation, also one that was refused: as the message said, if it could be read.
ALTER TABLE rejection ADD COLUMN number text;
ALTER TABLE rejection ADD COLUMN notation text;
CREATE INDEX rejection_number ON rejection (number, notation) WHERE number IS NOT NULL;
