-- Delete the drift tests of a run before they are written again.
DELETE FROM drift WHERE scoring_run_id = %(scoring_run_id)s
