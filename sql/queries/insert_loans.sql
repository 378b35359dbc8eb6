-- Enter the loans of a batch revision in table `loans`, except those that the replaced revision entered.
-- The order lets neighbouring keys go into the same page of the index. There is no ON CONFLICT, because
-- it would search the index twice and log each row three times.
INSERT INTO loans (loan_id, batch_id)
SELECT a.loan_id, a.batch_id
FROM applications AS a
WHERE a.batch_id = %(batch_id)s AND a.revision = %(revision)s
  AND (%(replaced)s::integer IS NULL OR NOT EXISTS (
      SELECT FROM applications AS old
      WHERE old.batch_id = %(batch_id)s AND old.revision = %(replaced)s
        AND old.loan_id = a.loan_id
  ))
ORDER BY a.loan_id
