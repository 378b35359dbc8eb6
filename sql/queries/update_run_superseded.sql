-- Take the place from the scoring run that was current for the batch.
UPDATE scoring_runs SET is_current = false
WHERE batch_id = %(batch_id)s AND is_current AND scoring_run_id <> %(scoring_run_id)s
