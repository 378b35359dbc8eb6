-- Return how the canary of a scoring run was judged.
SELECT * FROM canary_nights WHERE scoring_run_id = %(scoring_run_id)s
