-- Return every performance metric of a scoring run, for all loans and for each persona.
SELECT segment, metric, basis, value, lower, upper, baseline, loans
FROM performance
WHERE scoring_run_id = %(scoring_run_id)s
ORDER BY segment, metric, basis
