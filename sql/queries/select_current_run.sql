-- Return the current scoring run of a batch.
SELECT * FROM scoring_runs WHERE batch_id = %(batch_id)s AND is_current
