-- Return how many segments of a propensity version's batches were measured, and how many stand out.
SELECT s.segmented_by, count(DISTINCT r.batch_id) AS batches, count(*) AS segments,
       count(*) FILTER (WHERE s.outcomes IS NOT NULL) AS with_outcomes,
       count(*) FILTER (WHERE s.stands_out) AS stand_out
FROM segments AS s
JOIN scoring_runs AS r USING (scoring_run_id)
WHERE r.is_current AND r.propensity_version = %(model_version)s
GROUP BY s.segmented_by
ORDER BY s.segmented_by
