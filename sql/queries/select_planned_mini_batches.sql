-- The slices of a run that are still to be scored.
SELECT mini_batch FROM mini_batches
WHERE scoring_run_id = %(scoring_run_id)s AND state = 'planned'
ORDER BY mini_batch
