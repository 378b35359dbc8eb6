-- Return every drift test of a scoring run against the baseline.
SELECT kind, feature, test, statistic, p_value, p_adjusted, effect, threshold, level, against
FROM drift
WHERE scoring_run_id = %(scoring_run_id)s
ORDER BY kind, feature, test
