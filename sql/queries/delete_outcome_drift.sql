-- Make room for the tests of a run's outcomes to be written anew; those of its inputs stay.
DELETE FROM drift WHERE scoring_run_id = %(scoring_run_id)s AND kind = ANY (%(kinds)s)
