-- Take the current scoring run of a batch from the readers, because its revision is no longer current.
UPDATE scoring_runs SET is_current = false
WHERE batch_id = %(batch_id)s AND is_current
