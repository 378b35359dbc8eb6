-- Note that the rows of the database are erased.
UPDATE erasures SET applied_at = clock_timestamp() WHERE erasure_id = %(erasure_id)s
