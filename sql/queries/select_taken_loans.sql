-- Count the loans of a batch revision that are applications of another current batch.
-- ARRAY(...) is used because the planner has no statistics about a revision that has just landed, and
-- would choose a bad join.
SELECT count(*) AS loans, min(batch_id) AS first_batch_id
FROM loans
WHERE batch_id <> %(batch_id)s
  AND loan_id = ANY(ARRAY(
      SELECT loan_id FROM applications
      WHERE batch_id = %(batch_id)s AND revision = %(revision)s
  ))
