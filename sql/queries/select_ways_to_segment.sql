-- Return what the loans of the given scoring runs are segmented by: persona first, then columns.
SELECT segmented_by
FROM segments
WHERE scoring_run_id = ANY (%(scoring_run_ids)s)
GROUP BY segmented_by
ORDER BY segmented_by <> 'persona', segmented_by
