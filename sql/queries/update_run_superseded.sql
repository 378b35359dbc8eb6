-- Make the scoring run that was current for the batch no longer current.
UPDATE scoring_runs SET is_current = false
WHERE batch_id = %(batch_id)s AND is_current AND scoring_run_id <> %(scoring_run_id)s
