-- Divide a batch revision into mini-batches of nearly equal size, in the order of loan_id.
-- The first and last row of each slice are taken, because min() and max() lack the type uuid.
INSERT INTO mini_batches (scoring_run_id, mini_batch, first_loan_id, last_loan_id, applications)
SELECT
    %(scoring_run_id)s,
    slice - 1,
    (array_agg(loan_id ORDER BY place))[1],
    (array_agg(loan_id ORDER BY place DESC))[1],
    max(place) - min(place) + 1
FROM (
    SELECT
        loan_id,
        slice,
        place,
        slice IS DISTINCT FROM lag(slice) OVER by_loan
            OR slice IS DISTINCT FROM lead(slice) OVER by_loan AS is_end
    FROM (
        SELECT
            loan_id,
            ntile(%(slices)s) OVER by_loan AS slice,
            row_number() OVER by_loan AS place
        FROM applications
        WHERE batch_id = %(batch_id)s AND revision = %(revision)s
        WINDOW by_loan AS (ORDER BY loan_id)
    ) AS sliced
    WINDOW by_loan AS (ORDER BY loan_id)
) AS ends
WHERE is_end
GROUP BY slice
