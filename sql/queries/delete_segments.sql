-- Delete the segments of a scoring run, so that they can be written again.
DELETE FROM segments WHERE scoring_run_id = %(scoring_run_id)s
