-- Delete the verdicts of a revision before they are written again.
DELETE FROM quality WHERE batch_id = %(batch_id)s AND revision = %(revision)s
