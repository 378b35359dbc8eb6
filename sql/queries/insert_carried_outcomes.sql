-- Copy the statements of the revision before to a revision that only adds rows, except the statements on
-- loans that the added rows name.
INSERT INTO outcome_revisions (loan_id, change_id, is_default, observed_on, recovered, drop_id, revision)
SELECT s.loan_id, %(change_id)s, s.is_default, s.observed_on, s.recovered, s.drop_id, %(revision)s
FROM outcome_revisions AS s
WHERE s.change_id = (SELECT f.change_id FROM outcome_files AS f
                     WHERE f.drop_id = %(drop_id)s AND f.revision = %(revision)s - 1)
  AND s.loan_id NOT IN (SELECT loan_id FROM landed_outcomes)
