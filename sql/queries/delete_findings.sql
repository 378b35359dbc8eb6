-- Take back what was found of a run's batch; other causes stand.
DELETE FROM findings
WHERE scoring_run_id = %(scoring_run_id)s AND cause = ANY (%(causes)s)
