-- The versions in use and what they were promoted on.
SELECT kind, model_version, algorithm, metrics, promoted_by, promoted_at
FROM champions
ORDER BY kind DESC
