-- Return a loan that was unknown to an earlier revision of the same file, and is known now.
-- ARRAY(...) keeps the look-up in the index: the planner has no statistics of rows that just landed.
SELECT loan_id
FROM current_applications
WHERE loan_id = ANY(ARRAY(
    SELECT l.loan_id
    FROM quarantine AS q
    JOIN landed_outcomes AS l USING (line_number)
    WHERE q.batch_id = %(drop_id)s AND q.revision = %(revision)s
      AND 'unknown_loan:loan_id' = ANY (q.rules)
))
LIMIT 1
