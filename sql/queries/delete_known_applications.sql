-- Delete the rows of a landed revision whose loan is an application of another current batch. Return
-- their line numbers, and the other batches.
-- ARRAY(...) is used because the planner has no statistics about a revision that has just landed, and
-- would choose a bad join.
WITH known AS MATERIALIZED (
    SELECT loan_id, batch_id
    FROM loans
    WHERE batch_id <> %(batch_id)s
      AND loan_id = ANY(ARRAY(
          SELECT loan_id FROM applications
          WHERE batch_id = %(batch_id)s AND revision = %(revision)s
      ))
), deleted AS (
    DELETE FROM applications
    WHERE batch_id = %(batch_id)s AND revision = %(revision)s
      AND loan_id = ANY(ARRAY(SELECT loan_id FROM known))
    RETURNING line_number, loan_id
)
SELECT d.line_number, k.batch_id
FROM deleted AS d
JOIN known AS k USING (loan_id)
