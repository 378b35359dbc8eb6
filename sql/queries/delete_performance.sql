-- Make room for a run's metrics to be written anew.
DELETE FROM performance WHERE scoring_run_id = %(scoring_run_id)s
