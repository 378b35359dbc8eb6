-- Return the nights of challengers in shadow, the oldest first.
SELECT n.*, v.agreement, v.approval_rate_difference, v.mean_probability_difference, v.auc_difference,
       v.is_current
FROM shadow_nights AS n
JOIN shadow_comparison AS v USING (propensity_version, batch_id)
WHERE %(model_version)s::text IS NULL OR n.propensity_version = %(model_version)s
ORDER BY n.propensity_version, n.batch_id
