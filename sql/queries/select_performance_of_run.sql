-- Return every metric of a run's batch, of all loans and of each persona.
SELECT segment, metric, basis, value, lower, upper, baseline, loans
FROM performance
WHERE scoring_run_id = %(scoring_run_id)s
ORDER BY segment, metric, basis
