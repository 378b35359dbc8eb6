-- Return how often people decided and overruled on scores of a propensity version, and what came of it.
SELECT override, count(*) AS loans, count(o.is_default) AS outcomes,
       count(*) FILTER (WHERE o.is_default) AS defaults
FROM (SELECT loan_id, coalesce(override, 'no probability') AS override
      FROM reviews
      WHERE propensity_version = %(model_version)s) AS v
LEFT JOIN outcomes AS o USING (loan_id)
GROUP BY override
ORDER BY override
