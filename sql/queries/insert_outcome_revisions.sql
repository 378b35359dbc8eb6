-- Insert the landed outcomes as the statements of a file.
INSERT INTO outcome_revisions (loan_id, change_id, is_default, observed_on, recovered, drop_id, revision)
SELECT loan_id, %(change_id)s, is_default, observed_on, recovered, %(drop_id)s, %(revision)s
FROM landed_outcomes
