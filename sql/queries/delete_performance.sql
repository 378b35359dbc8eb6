-- Delete the metrics of a run before they are written again.
DELETE FROM performance WHERE scoring_run_id = %(scoring_run_id)s
