-- Mark the current scoring run of a batch as no longer current, unless it is the given run.
UPDATE scoring_runs SET is_current = false
WHERE batch_id = %(batch_id)s AND is_current AND scoring_run_id <> %(scoring_run_id)s
