-- Return how many loans of a scoring run are in each bin and level of the baseline, for each column.
SELECT kind, feature, loans, nulls, counts, histogram
FROM distributions
WHERE scoring_run_id = %(scoring_run_id)s
