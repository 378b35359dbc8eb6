-- Delete the tests of a run's outcomes before they are written again; tests of its inputs stay.
DELETE FROM drift WHERE scoring_run_id = %(scoring_run_id)s AND kind = ANY (%(kinds)s)
