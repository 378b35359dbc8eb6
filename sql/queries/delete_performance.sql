-- Delete the performance metrics of a scoring run, so that they can be written again.
DELETE FROM performance WHERE scoring_run_id = %(scoring_run_id)s
