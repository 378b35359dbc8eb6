-- Return the current scoring run of a batch. If no batch is given, return the run of the last scored batch.
SELECT scoring_run_id, batch_id, revision, propensity_version, personas_version, policy, applications,
       scored, referred, published_at
FROM scoring_runs
WHERE is_current AND batch_id = coalesce(%(batch_id)s, batch_id)
ORDER BY batch_id DESC
LIMIT 1
