-- Return the version that a version replaced when it was last put into use, other than by a rollback.
SELECT promotion_id, replaces
FROM promotions
WHERE model_version = %(model_version)s AND verdict = 'promoted' AND occasion <> 'rollback'
ORDER BY promotion_id DESC
LIMIT 1
