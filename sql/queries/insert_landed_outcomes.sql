-- Insert the outcomes that are new; outcomes that are known already change nothing.
INSERT INTO outcomes (loan_id, is_default, observed_on, drop_id, revision)
SELECT loan_id, is_default, observed_on, %(drop_id)s, %(revision)s
FROM landed_outcomes
ON CONFLICT (loan_id) DO NOTHING
