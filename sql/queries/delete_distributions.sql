-- Delete the distributions of a scoring run, so that they can be written again.
DELETE FROM distributions WHERE scoring_run_id = %(scoring_run_id)s
