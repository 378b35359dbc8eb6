-- Return the drift tests of a scoring run, sorted by kind and feature.
SELECT kind, feature, test, statistic, p_value, p_adjusted, effect, threshold, level, against
FROM drift
WHERE scoring_run_id = %(scoring_run_id)s AND level = coalesce(%(level)s, level)
ORDER BY kind, feature, test
