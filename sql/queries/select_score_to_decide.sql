-- Return the current score of a loan, with the columns that a person's decision records.
SELECT s.batch_id, s.scoring_run_id, s.decision, s.default_probability, s.exclusion_reason
FROM scores AS s
JOIN scoring_runs AS r
    ON r.scoring_run_id = s.scoring_run_id AND r.batch_id = s.batch_id AND r.is_current
WHERE s.loan_id = %(loan_id)s::loan_key
ORDER BY s.batch_id DESC
LIMIT 1
