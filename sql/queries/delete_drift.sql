-- Make room for a run's tests to be written anew.
DELETE FROM drift WHERE scoring_run_id = %(scoring_run_id)s
