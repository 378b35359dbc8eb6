-- Return the mini-batches of a scoring run and their states. A scored mini-batch is not scored again.
SELECT mini_batch, state FROM mini_batches
WHERE scoring_run_id = %(scoring_run_id)s
ORDER BY mini_batch
