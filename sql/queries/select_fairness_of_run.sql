-- Return the fairness metrics of a scoring run for each protected attribute, by the policy alone and
-- with the decisions in effect.
SELECT attribute, metric, decisions, value, lower, upper, groups
FROM fairness
WHERE scoring_run_id = %(scoring_run_id)s
ORDER BY attribute, metric, decisions DESC
