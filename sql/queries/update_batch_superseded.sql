-- Mark the current revision of a batch as no longer current, unless it is the given revision. Return its
-- number.
UPDATE batches SET is_current = false
WHERE batch_id = %(batch_id)s AND is_current AND revision <> %(revision)s
RETURNING revision
