-- What the way back from quarantine needs: how a revision's raw text is laid out, and which revision
-- of which file a person corrected (docs/adr/0008).
ALTER TABLE batches
    ADD COLUMN header            text[] NOT NULL DEFAULT '{}',
    ADD COLUMN delimiter         text NOT NULL DEFAULT ',',
    ADD COLUMN corrects_revision integer,
    ADD COLUMN origin_sha256     text,
    ADD COLUMN rules_sha256      text NOT NULL DEFAULT '',
    ADD CHECK (corrects_revision < revision),
    ADD CHECK ((corrects_revision IS NULL) = (origin_sha256 IS NULL));
COMMENT ON COLUMN batches.header IS 'Columns of the source file in its order, as quarantine.raw_text has them';
COMMENT ON COLUMN batches.delimiter IS 'What stands between the fields of quarantine.raw_text';
COMMENT ON COLUMN batches.corrects_revision IS 'The revision whose quarantined rows were corrected into this one; null for a file that landed';
COMMENT ON COLUMN batches.origin_sha256 IS 'Hash of the landed file below the corrections: its bytes again change nothing; null for a file that landed';
COMMENT ON COLUMN batches.sha256 IS 'Hash of the file as delivered, or of the corrected rows; the same bytes again change nothing';
COMMENT ON COLUMN batches.rules_sha256 IS 'Hash of how the contract had the file read: under other rules the same bytes are a new revision';
