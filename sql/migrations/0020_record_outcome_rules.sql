-- A changed target is a changed rule: under it the same bytes have other outcomes. A file that an earlier
-- release ingested has no hash here, so it is read anew when it is ingested again.
ALTER TABLE batches ADD COLUMN target_sha256 text NOT NULL DEFAULT '';
ALTER TABLE outcome_drops ADD COLUMN rules_sha256 text NOT NULL DEFAULT '';
COMMENT ON COLUMN batches.target_sha256 IS 'Hash of the target by which the outcomes of history were read: under another target the same bytes are a new revision; empty for other batches, and if an earlier release landed the file';
COMMENT ON COLUMN outcome_drops.rules_sha256 IS 'Hash of how the contract had the file read: under other rules the same bytes are a new revision; empty if an earlier release ingested the file';
