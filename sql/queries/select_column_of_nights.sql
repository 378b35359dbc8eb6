-- Return how the loans of the given scoring runs are spread over the bins or levels of the baseline of
-- one column.
SELECT scoring_run_id, loans, nulls, counts
FROM distributions
WHERE scoring_run_id = ANY (%(scoring_run_ids)s) AND kind = %(kind)s AND feature = %(feature)s
