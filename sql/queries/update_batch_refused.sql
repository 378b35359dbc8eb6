-- Record that a landed batch revision failed its checks.
UPDATE batches SET state = 'refused'
WHERE batch_id = %(batch_id)s AND revision = %(revision)s AND state = 'landed'
