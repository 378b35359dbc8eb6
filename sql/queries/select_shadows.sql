-- Return the challengers that were in shadow, the latest first.
SELECT * FROM shadows
WHERE %(model_version)s::text IS NULL OR propensity_version = %(model_version)s
ORDER BY shadow_id DESC
