-- Return one scoring run.
SELECT * FROM scoring_runs WHERE scoring_run_id = %(scoring_run_id)s
