-- Delete the given findings of a run's batch; other causes stay.
DELETE FROM findings
WHERE scoring_run_id = %(scoring_run_id)s AND cause = ANY (%(causes)s)
