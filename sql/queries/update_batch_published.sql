-- Make a landed revision the current one.
UPDATE batches SET state = 'published', is_current = true, published_at = now()
WHERE batch_id = %(batch_id)s AND revision = %(revision)s AND state = 'landed'
