-- Return the profiles of all columns in the last measured batches before a given batch, the oldest batch
-- first. Withdrawn batches are left out.
WITH nights AS (
    SELECT r.scoring_run_id, r.batch_id, r.applications, r.propensity_version, r.personas_version, r.policy
    FROM scoring_runs AS r
    JOIN batches AS b ON b.batch_id = r.batch_id AND b.revision = r.revision
    WHERE r.is_current AND r.batch_id < %(batch_id)s AND b.withdrawn_at IS NULL
      AND EXISTS (SELECT FROM distributions AS d
                  WHERE d.scoring_run_id = r.scoring_run_id AND d.profile IS NOT NULL)
    ORDER BY r.batch_id DESC
    LIMIT %(nights)s
)
SELECT
    n.batch_id, n.applications, n.propensity_version, n.personas_version, n.policy,
    (SELECT jsonb_object_agg(d.feature, d.profile)
       FROM distributions AS d
      WHERE d.scoring_run_id = n.scoring_run_id AND d.profile IS NOT NULL) AS profiles,
    (SELECT jsonb_object_agg(t.test, t.statistic)
       FROM drift AS t
      WHERE t.scoring_run_id = n.scoring_run_id AND t.kind = 'joint') AS joint
FROM nights AS n
ORDER BY n.batch_id
