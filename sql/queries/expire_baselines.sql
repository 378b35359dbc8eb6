-- Let go of the baseline samples of models that are no champion and have scored nothing since a time.
-- The figures of the baseline stay. Table models is otherwise never changed.
UPDATE models AS m
SET baseline_artifact = NULL, baseline_sha256 = NULL
WHERE m.baseline_artifact IS NOT NULL AND m.created_at < %(before)s
  AND NOT EXISTS (SELECT FROM models_in_use AS c WHERE c.model_version = m.model_version)
  AND NOT EXISTS (
      SELECT FROM scoring_runs AS r
      WHERE r.propensity_version = m.model_version
        AND coalesce(r.published_at, r.planned_at) >= %(before)s
  )
RETURNING m.model_version
