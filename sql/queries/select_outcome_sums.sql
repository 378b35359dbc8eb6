-- Return what the outcomes of each current scoring run add up to, in the order of the nights of each model.
SELECT r.propensity_version, s.*
FROM outcome_sums AS s
JOIN scoring_runs AS r USING (scoring_run_id)
WHERE r.is_current
ORDER BY r.propensity_version, s.test, r.batch_id
