-- Return what the current run of each batch shows, and what is known of it: inputs at once, outcomes later.
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
