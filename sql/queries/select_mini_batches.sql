-- Return the slices of a run; a scored one is not scored again.
SELECT mini_batch, state FROM mini_batches
WHERE scoring_run_id = %(scoring_run_id)s
ORDER BY mini_batch
