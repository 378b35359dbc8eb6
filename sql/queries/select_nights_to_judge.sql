-- Return the nights of a challenger that count for its promotion, the oldest first: those that the given
-- champion decided and that readers see, and of the stage canary only those with this canary.
SELECT n.batch_id, n.scoring_run_id, n.shadow_run_id
FROM shadow_nights AS n
JOIN scoring_runs AS r USING (scoring_run_id)
WHERE n.propensity_version = %(propensity_version)s AND n.champion = %(champion)s AND r.is_current
  AND (NOT %(with_canary)s
       OR r.canary ->> 'propensity_version' = %(propensity_version)s)
ORDER BY n.batch_id
