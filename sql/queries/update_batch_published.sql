-- Publish a landed batch revision. It becomes current only if no newer revision is published.
UPDATE batches SET state = 'published', is_current = %(is_current)s, published_at = now()
WHERE batch_id = %(batch_id)s AND revision = %(revision)s AND state = 'landed'
