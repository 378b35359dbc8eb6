-- The last verdicts on all versions, the latest first, with what they were given on.
SELECT promotion_id, kind, model_version, verdict, occasion, replaces, decided_by, decided_at, comment,
       evidence
FROM promotions
ORDER BY promotion_id DESC
LIMIT 100
