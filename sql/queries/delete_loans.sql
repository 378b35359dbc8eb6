-- Delete the loans of a batch revision from table `loans`, except the loans of another given revision.
-- ARRAY(...) makes the planner look each loan up by its key.
DELETE FROM loans
WHERE batch_id = %(batch_id)s
  AND loan_id = ANY(ARRAY(
      SELECT loan_id FROM applications
      WHERE batch_id = %(batch_id)s AND revision = %(revision)s
      EXCEPT ALL
      SELECT loan_id FROM applications
      WHERE batch_id = %(batch_id)s AND revision = %(kept_by)s
  ))
