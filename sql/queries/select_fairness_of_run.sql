-- Return the fairness metrics of a scoring run for each protected attribute.
SELECT attribute, metric, value, lower, upper, groups
FROM fairness
WHERE scoring_run_id = %(scoring_run_id)s
ORDER BY attribute, metric
