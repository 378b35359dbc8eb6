-- Return the days of streams before a date, and those sealed early, that are not finished: open,
-- unpublished, or published and not yet compared with the baseline.
SELECT b.batch_id, b.sealed_at IS NOT NULL AS is_sealed, r.scoring_run_id IS NOT NULL AS is_published
FROM batches AS b
LEFT JOIN scoring_runs AS r ON r.batch_id = b.batch_id AND r.is_current AND b.is_current
WHERE b.kind = 'stream' AND b.withdrawn_at IS NULL
  AND (b.batch_id < %(before)s OR b.sealed_at IS NOT NULL)
  AND b.state IN ('landed', 'published') AND (b.state = 'landed' OR b.is_current)
  AND (r.scoring_run_id IS NULL
       OR r.applications > 0 AND NOT EXISTS (
           SELECT FROM drift AS d WHERE d.scoring_run_id = r.scoring_run_id
           AND d.kind IN ('data', 'prediction', 'joint')))
ORDER BY b.batch_id
