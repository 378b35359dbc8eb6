-- Return the nights with a canary, the oldest first, with the canary's loans that readers see.
SELECT c.*, r.is_current,
       CASE WHEN r.is_current
            THEN (SELECT count(*) FROM scores AS s
                  WHERE s.batch_id = c.batch_id AND s.scoring_run_id = c.scoring_run_id
                    AND s.propensity_version = c.propensity_version)
            ELSE 0 END AS decided
FROM canary_nights AS c
JOIN scoring_runs AS r USING (scoring_run_id)
WHERE %(model_version)s::text IS NULL OR c.propensity_version = %(model_version)s
ORDER BY c.batch_id, c.judged_at
