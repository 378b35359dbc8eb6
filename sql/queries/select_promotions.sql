-- Return the last verdicts on all model versions with their evidence, the latest first.
SELECT promotion_id, kind, model_version, verdict, occasion, replaces, decided_by, decided_at, comment,
       evidence
FROM promotions
ORDER BY promotion_id DESC
LIMIT 100
