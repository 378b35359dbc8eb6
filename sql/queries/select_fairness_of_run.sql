-- Return the differences between the groups of each protected attribute in a run's batch.
SELECT attribute, metric, value, lower, upper, groups
FROM fairness
WHERE scoring_run_id = %(scoring_run_id)s
ORDER BY attribute, metric
