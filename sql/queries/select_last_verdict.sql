-- Return the last verdict on a model version.
SELECT verdict, replaces, evidence, decided_by, occasion, comment
FROM promotions
WHERE model_version = %(model_version)s
ORDER BY promotion_id DESC
LIMIT 1
