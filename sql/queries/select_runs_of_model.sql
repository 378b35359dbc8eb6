-- Return the batches whose current scores are of a propensity version, with their performance, the oldest
-- first.
SELECT r.batch_id, r.revision, r.scored, r.referred, r.published_at, p.approval_rate,
       p.estimated_auc, p.realised_auc, p.realised_auc_lower, p.realised_auc_upper, p.realised_loans,
       p.estimated_default_rate, p.realised_default_rate, p.realised_calibration_slope
FROM scoring_runs AS r
LEFT JOIN performance_by_batch AS p USING (scoring_run_id)
WHERE r.is_current AND r.propensity_version = %(model_version)s
ORDER BY r.batch_id
