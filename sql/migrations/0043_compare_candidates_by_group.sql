-- The approval of groups by each trial, so that the least discriminatory candidate can be named.
ALTER TABLE trials ADD COLUMN fairness jsonb;
COMMENT ON COLUMN trials.fairness IS 'Approval by group of out-of-fold probabilities, after calibration: for each protected attribute the compared groups, their loans and approved loans, and of these the paid ones; null in trials that are older than the column';
COMMENT ON COLUMN models.metrics IS 'Metrics on the hold-out with their intervals, the chosen trial, and under mitigation the kind of mitigation that was fitted, null for none; of personas their sizes and default rates';
