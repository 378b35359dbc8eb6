-- How many loans of a revision became applications of other batches since it landed.
SELECT count(*) AS loans, min(b.batch_id) AS first_batch_id
FROM batches AS b
JOIN applications AS a USING (batch_id, revision)
WHERE b.is_current AND b.batch_id <> %(batch_id)s
  AND a.loan_id IN (
      SELECT loan_id FROM applications
      WHERE batch_id = %(batch_id)s AND revision = %(revision)s
  )
