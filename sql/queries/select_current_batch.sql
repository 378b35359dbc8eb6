-- Return the current revision of a batch.
SELECT revision, source, accepted FROM batches WHERE batch_id = %(batch_id)s AND is_current
