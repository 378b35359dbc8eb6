-- Delete a run's drift rows of some kinds before they are written again.
DELETE FROM drift WHERE scoring_run_id = %(scoring_run_id)s AND kind = ANY (%(kinds)s)
