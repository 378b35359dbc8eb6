-- Return the last batches that have scores, the latest first.
SELECT batch_id, applications, referred
FROM scoring_runs
WHERE is_current
ORDER BY batch_id DESC
LIMIT 60
