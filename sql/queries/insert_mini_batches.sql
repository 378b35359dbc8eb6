-- Divide a batch revision into mini-batches of nearly equal size, in the order of loan_id.
INSERT INTO mini_batches (scoring_run_id, mini_batch, first_loan_id, last_loan_id, applications)
SELECT %(scoring_run_id)s, slice - 1, min(loan_id), max(loan_id), count(*)
FROM (
    SELECT loan_id, ntile(%(slices)s) OVER (ORDER BY loan_id) AS slice
    FROM applications
    WHERE batch_id = %(batch_id)s AND revision = %(revision)s
) AS sliced
GROUP BY slice
