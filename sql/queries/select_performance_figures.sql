-- Return the metrics of the current scoring run of each batch over all loans, with intervals.
SELECT r.batch_id, p.metric, p.basis, p.value, p.lower, p.upper, p.baseline, p.loans
FROM performance AS p
JOIN scoring_runs AS r USING (scoring_run_id)
WHERE r.is_current AND p.segment = 'all'
ORDER BY r.batch_id, p.metric, p.basis
