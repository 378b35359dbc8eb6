-- Delete the outcome coverage of a scoring run, so that it can be written again.
DELETE FROM outcome_coverage WHERE scoring_run_id = %(scoring_run_id)s
