-- Make the revision that was current no longer current.
UPDATE batches SET is_current = false
WHERE batch_id = %(batch_id)s AND is_current AND revision <> %(revision)s
