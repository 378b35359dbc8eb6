-- Return the nights of a challenger in shadow whose outcomes were measured since they were compared.
SELECT n.batch_id, n.shadow_run_id
FROM shadow_nights AS n
JOIN scoring_runs AS r USING (scoring_run_id)
JOIN outcome_coverage AS c USING (scoring_run_id)
WHERE n.propensity_version = %(propensity_version)s AND r.is_current
  AND c.outcomes_change_id > coalesce(n.outcomes_change_id, 0)
ORDER BY n.batch_id
