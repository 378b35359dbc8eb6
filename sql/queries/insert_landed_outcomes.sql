-- Insert the landed outcomes of loans that have no outcome yet. Outcomes that are already known do not
-- change.
INSERT INTO outcomes (loan_id, is_default, observed_on, drop_id, revision)
SELECT loan_id, is_default, observed_on, %(drop_id)s, %(revision)s
FROM landed_outcomes
ON CONFLICT (loan_id) DO NOTHING
