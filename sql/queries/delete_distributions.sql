-- Take back the distributions of a run, to be written anew.
DELETE FROM distributions WHERE scoring_run_id = %(scoring_run_id)s
