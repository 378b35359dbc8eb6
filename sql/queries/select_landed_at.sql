-- Return when the first revision of a batch landed.
SELECT min(landed_at) AS landed_at FROM batches WHERE batch_id = %(batch_id)s
