-- Divide a batch revision into mini-batches of nearly equal size, in the order of loan_id.
-- The first and last of the ordered loans are taken, because Postgres 17 has no min(uuid). An aggregate
-- without ORDER BY takes the order of the subquery, which costs no second sort.
INSERT INTO mini_batches (scoring_run_id, mini_batch, first_loan_id, last_loan_id, applications)
SELECT
    %(scoring_run_id)s,
    slice - 1,
    (array_agg(loan_id))[1],
    (array_agg(loan_id))[count(*)],
    count(*)
FROM (
    SELECT loan_id, ntile(%(slices)s) OVER (ORDER BY loan_id) AS slice
    FROM applications
    WHERE batch_id = %(batch_id)s AND revision = %(revision)s
    ORDER BY loan_id
) AS sliced
GROUP BY slice
