-- Quarantined rows are judged like other parts of a batch: by expectations, with alerts.
COMMENT ON COLUMN quality.expectation IS 'RULE, or RULE:COLUMN; for quarantined rows quarantined, quarantined_critical or quarantined:RULE:COLUMN';
COMMENT ON COLUMN quality.observed IS 'Rows (row_count, volume), share of distinct keys (unique), share of the file''s rows (quarantined), else the share of rows that are not as expected';
COMMENT ON COLUMN quality.observed_text IS 'What was found, where a number does not say it: columns, levels, rules';
COMMENT ON COLUMN quality.limits IS 'The expectation''s type, quarantined or one of Great Expectations, and what it was held against';
COMMENT ON COLUMN alerts.subject IS 'The columns that show the cause, the worst first; of quality the column, the broken rule as rule or rule:column, or batch; of failure the stage; of delivery the channel';
