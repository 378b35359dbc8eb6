-- Return the version that a model version replaced at its last promotion that was not a rollback.
SELECT promotion_id, replaces
FROM promotions
WHERE model_version = %(model_version)s AND verdict = 'promoted' AND occasion <> 'rollback'
ORDER BY promotion_id DESC
LIMIT 1
