-- Delete the drift tests of the given kinds of a scoring run, so that they can be written again.
DELETE FROM drift WHERE scoring_run_id = %(scoring_run_id)s AND kind = ANY (%(kinds)s)
