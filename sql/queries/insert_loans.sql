-- Enter the loans of a batch revision in table `loans`. Loans that the table has already do not change.
-- The order lets neighbouring keys go into the same page of the index.
INSERT INTO loans (loan_id, batch_id)
SELECT loan_id, batch_id
FROM applications
WHERE batch_id = %(batch_id)s AND revision = %(revision)s
ORDER BY loan_id
ON CONFLICT (loan_id) DO NOTHING
