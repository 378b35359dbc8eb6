-- Return which stages are done for each of the given batches.
SELECT
    wanted.batch_id,
    b.batch_id IS NOT NULL AS is_published,
    r.scoring_run_id IS NOT NULL AS is_scored,
    EXISTS (SELECT FROM drift AS d WHERE d.scoring_run_id = r.scoring_run_id) AS is_compared
FROM unnest(%(batch_ids)s::text[]) WITH ORDINALITY AS wanted (batch_id, place)
LEFT JOIN batches AS b ON b.batch_id = wanted.batch_id AND b.is_current
LEFT JOIN scoring_runs AS r ON r.batch_id = b.batch_id AND r.revision = b.revision AND r.is_current
ORDER BY wanted.place
