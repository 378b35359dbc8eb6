-- Delete the fairness metrics of a scoring run, so that they can be written again.
DELETE FROM fairness WHERE scoring_run_id = %(scoring_run_id)s
