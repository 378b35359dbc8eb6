-- The revision of a batch that counts.
SELECT revision, source, accepted FROM batches WHERE batch_id = %(batch_id)s AND is_current
