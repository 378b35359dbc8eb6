-- Return how the columns of a run's batch spread over the bins and levels of the baseline.
SELECT kind, feature, loans, nulls, counts, histogram
FROM distributions
WHERE scoring_run_id = %(scoring_run_id)s
