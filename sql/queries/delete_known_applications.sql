-- Delete the rows of a landed revision whose loan is an application of another current batch. Return
-- their line numbers.
-- ARRAY(...) is used because the planner has no statistics about a revision that has just landed, and
-- would choose a bad join.
DELETE FROM applications
WHERE batch_id = %(batch_id)s AND revision = %(revision)s
  AND loan_id = ANY(ARRAY(
      SELECT loan_id
      FROM loans
      WHERE batch_id <> %(batch_id)s
        AND loan_id = ANY(ARRAY(
            SELECT loan_id FROM applications
            WHERE batch_id = %(batch_id)s AND revision = %(revision)s
        ))
  ))
RETURNING line_number
