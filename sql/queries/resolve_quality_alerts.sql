-- Close the quality alerts of a batch that belong to another revision, or whose subject passes now.
UPDATE alerts SET state = 'resolved', changed_by = 'quality', changed_at = now()
WHERE batch_id = %(batch_id)s AND kind = 'quality' AND state <> 'resolved'
  AND NOT (revision = %(revision)s AND subject = ANY (%(subjects)s))
