-- Delete the distributions of a run before they are written again.
DELETE FROM distributions WHERE scoring_run_id = %(scoring_run_id)s
