-- Return the champion of each kind, with its metrics, its promotion and the time of its fit.
SELECT c.kind, c.model_version, c.algorithm, c.metrics, c.promoted_by, c.promoted_at,
       m.created_at AS fitted_at
FROM champions AS c
JOIN models AS m USING (model_version)
ORDER BY c.kind DESC
