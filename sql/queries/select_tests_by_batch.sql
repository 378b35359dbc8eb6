-- Return every drift test of the current scoring run of each batch.
SELECT r.batch_id, d.kind, d.feature, d.test, d.statistic, d.effect, d.threshold, d.p_adjusted, d.level
FROM drift AS d
JOIN scoring_runs AS r USING (scoring_run_id)
WHERE r.is_current
ORDER BY r.batch_id, d.kind, d.feature, d.test
