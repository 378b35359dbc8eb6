-- Delete the findings of a scoring run that have one of the given causes.
DELETE FROM findings
WHERE scoring_run_id = %(scoring_run_id)s AND cause = ANY (%(causes)s)
