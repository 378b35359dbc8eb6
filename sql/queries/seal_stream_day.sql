-- Close the day of a stream. Nothing is added to it any more.
UPDATE batches SET sealed_at = now(), sha256 = %(sha256)s
WHERE batch_id = %(batch_id)s AND revision = %(revision)s AND kind = 'stream' AND sealed_at IS NULL
