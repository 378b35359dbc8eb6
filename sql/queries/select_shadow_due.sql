-- Return whether the challenger in shadow has enough nights to be judged, and neither was judged nor is a
-- person asked, nor has the stage failed.
SELECT EXISTS (
    SELECT FROM shadows AS s
    WHERE s.ended_at IS NULL AND s.stage = 'shadow' AND s.asked_batch_id IS NULL
      AND (SELECT count(*) FROM shadow_nights AS n
           JOIN scoring_runs AS r USING (scoring_run_id)
           WHERE n.propensity_version = s.propensity_version AND n.champion = s.champion
             AND r.is_current) >= %(shadow_nights)s
) AND NOT EXISTS (
    SELECT FROM alerts WHERE kind = 'failure' AND subject = 'shadow' AND state <> 'resolved'
) AS is_due
