-- Return the published scoring runs that follow a given run, in the order of their batches. They can be
-- filtered by time, batch and model version.
SELECT scoring_run_id, batch_id, revision, propensity_version, personas_version, is_current,
       applications, scored, referred, planned_at, published_at
FROM scoring_runs
WHERE state = 'published'
  AND (%(since)s::timestamptz IS NULL OR published_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR published_at < %(until)s)
  AND (%(batch_id)s::text IS NULL OR batch_id = %(batch_id)s)
  AND (%(model_version)s::text IS NULL
       OR %(model_version)s IN (propensity_version, personas_version))
  AND (%(after)s::text IS NULL OR scoring_run_id COLLATE "C" > %(after)s)
ORDER BY scoring_run_id COLLATE "C"
LIMIT %(limit)s
