-- Insert the newest statement on each changed loan as its outcome.
INSERT INTO outcomes (loan_id, is_default, observed_on, recovered, drop_id, revision)
SELECT loan_id, is_default, observed_on, recovered, drop_id, revision
FROM changed_outcomes
WHERE is_default IS NOT NULL
