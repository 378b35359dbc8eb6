-- Return every verdict on a model version, the oldest first.
SELECT promotion_id, verdict, occasion, replaces, decided_by, decided_at, comment, evidence
FROM promotions
WHERE model_version = %(model_version)s
ORDER BY promotion_id
