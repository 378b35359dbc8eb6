-- The scoring run of a batch that counts.
SELECT * FROM scoring_runs WHERE batch_id = %(batch_id)s AND is_current
