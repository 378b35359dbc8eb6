-- Count the loans of a batch revision that became applications of other batches after it landed.
-- ARRAY(...) is used because the planner has no statistics about a revision that has just landed, and
-- would choose a bad join.
SELECT count(*) AS loans, min(b.batch_id) AS first_batch_id
FROM applications AS a
JOIN batches AS b USING (batch_id, revision)
WHERE b.is_current AND b.batch_id <> %(batch_id)s
  AND a.loan_id = ANY(ARRAY(
      SELECT loan_id FROM applications
      WHERE batch_id = %(batch_id)s AND revision = %(revision)s
  ))
