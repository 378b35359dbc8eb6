-- Return the nights with a current scoring run up to a date, the newest first.
SELECT batch_id, scoring_run_id, propensity_version
FROM scoring_runs
WHERE is_current AND batch_id <> 'history'
  AND (%(since)s::text IS NULL OR batch_id >= %(since)s)
  AND (%(until)s::text IS NULL OR batch_id <= %(until)s)
ORDER BY batch_id DESC
LIMIT %(nights)s
