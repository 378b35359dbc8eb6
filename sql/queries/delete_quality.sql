-- Delete the quality verdicts on a batch revision, so that they can be written again.
DELETE FROM quality WHERE batch_id = %(batch_id)s AND revision = %(revision)s
