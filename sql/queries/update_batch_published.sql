-- Publish a landed revision; one that a newer revision overtook is published but not current.
UPDATE batches SET state = 'published', is_current = %(is_current)s, published_at = now()
WHERE batch_id = %(batch_id)s AND revision = %(revision)s AND state = 'landed'
