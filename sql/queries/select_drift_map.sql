-- Return the drift level, the PSI and the tests that are not stable, for each column in the current run
-- of each batch. The level is the worst level of all tests of the column.
SELECT r.batch_id, d.kind, d.feature,
       max(array_position(ARRAY['stable', 'attention', 'drifted'], d.level)) - 1 AS level,
       max(d.effect) FILTER (WHERE d.test = 'psi') AS psi,
       array_agg(d.test ORDER BY d.test) FILTER (WHERE d.level <> 'stable') AS tests
FROM scoring_runs AS r
JOIN drift AS d USING (scoring_run_id)
WHERE r.is_current AND r.batch_id = ANY (%(batch_ids)s)
GROUP BY r.batch_id, d.kind, d.feature
