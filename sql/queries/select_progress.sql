-- Return which stages are done for each of the given batches. A night is shadowed if no challenger is in
-- shadow, or if it was compared, or if that failed, which an alert reports.
SELECT
    wanted.batch_id,
    b.batch_id IS NOT NULL AS is_published,
    r.scoring_run_id IS NOT NULL AS is_scored,
    EXISTS (SELECT FROM drift AS d WHERE d.scoring_run_id = r.scoring_run_id) AS is_compared,
    NOT EXISTS (SELECT FROM shadows AS s
                WHERE s.ended_at IS NULL AND s.started_at < r.published_at
                  AND s.champion = r.propensity_version)
    OR EXISTS (SELECT FROM shadow_nights AS n WHERE n.batch_id = wanted.batch_id)
    OR EXISTS (SELECT FROM alerts AS a
               WHERE a.kind = 'failure' AND a.subject = 'shadow' AND a.batch_id = wanted.batch_id)
        AS is_shadowed
FROM unnest(%(batch_ids)s::text[]) WITH ORDINALITY AS wanted (batch_id, place)
LEFT JOIN batches AS b ON b.batch_id = wanted.batch_id AND b.is_current
LEFT JOIN scoring_runs AS r ON r.batch_id = b.batch_id AND r.revision = b.revision AND r.is_current
ORDER BY wanted.place
