-- Publish a landed revision; if a newer revision is published already, it does not become current.
UPDATE batches SET state = 'published', is_current = %(is_current)s, published_at = now()
WHERE batch_id = %(batch_id)s AND revision = %(revision)s AND state = 'landed'
