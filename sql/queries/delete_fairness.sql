-- Delete the fairness metrics of a run before they are written again.
DELETE FROM fairness WHERE scoring_run_id = %(scoring_run_id)s
