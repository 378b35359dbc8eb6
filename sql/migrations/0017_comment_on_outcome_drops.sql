-- The same file of outcomes is judged anew once loans that it named and nobody knew are applications.
COMMENT ON COLUMN outcome_drops.revision IS 'Counts up by drop_id: another file of that name, or the same one judged anew';
COMMENT ON COLUMN outcome_drops.sha256 IS 'Hash of the file as delivered; the same bytes again change nothing, unless loans that were unknown are applications now';
