-- Return how many current applications have an outcome, and how many of these defaulted.
SELECT count(*) AS loans, count(*) FILTER (WHERE o.is_default) AS defaults
FROM current_applications AS a
JOIN outcomes AS o USING (loan_id)
