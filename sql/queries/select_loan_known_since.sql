-- A loan that was unknown to an earlier revision of the very file that landed, and is known now.
-- The array keeps the lookup in the index: of rows that just landed the planner knows nothing.
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
