-- Return from when until when readers saw scores of a batch, the latest period first.
SELECT scoring_run_id, visible_from, visible_until, published_by, occasion
FROM publication_periods
WHERE batch_id = %(batch_id)s
ORDER BY visible_from DESC
