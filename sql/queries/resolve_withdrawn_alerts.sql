-- Close the quality alerts of a batch revision that was withdrawn.
UPDATE alerts SET state = 'resolved', changed_by = %(by)s, changed_at = now()
WHERE batch_id = %(batch_id)s AND revision = %(revision)s AND state <> 'resolved'
