-- Return the findings of the current scoring run of each batch, and which drift tests exist. Tests of
-- inputs and scores are there soon. Tests that need outcomes are there later.
SELECT
    r.batch_id, r.scoring_run_id,
    EXISTS (SELECT FROM drift AS d WHERE d.scoring_run_id = r.scoring_run_id
              AND d.kind IN ('data', 'prediction', 'joint')) AS is_measured,
    EXISTS (SELECT FROM drift AS d WHERE d.scoring_run_id = r.scoring_run_id
              AND d.kind IN ('model', 'target')) AS is_mature,
    coalesce(
        (SELECT jsonb_object_agg(f.cause, to_jsonb(f) - 'cause' - 'scoring_run_id')
         FROM findings AS f WHERE f.scoring_run_id = r.scoring_run_id),
        '{}'
    ) AS findings
FROM scoring_runs AS r
WHERE r.is_current
ORDER BY r.batch_id
