-- Make a published scoring run the current run of its batch again.
UPDATE scoring_runs SET is_current = true WHERE scoring_run_id = %(scoring_run_id)s
