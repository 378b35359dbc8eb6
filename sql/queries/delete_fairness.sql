-- Make room for a run's fairness to be written anew.
DELETE FROM fairness WHERE scoring_run_id = %(scoring_run_id)s
