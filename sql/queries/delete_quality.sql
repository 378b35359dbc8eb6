-- Make room for a revision's verdicts to be written anew.
DELETE FROM quality WHERE batch_id = %(batch_id)s AND revision = %(revision)s
