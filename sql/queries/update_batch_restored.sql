-- Make a withdrawn batch revision the current revision of its batch again.
UPDATE batches
SET is_current = true, withdrawn_at = NULL, withdrawn_by = NULL, withdrawal_comment = NULL
WHERE batch_id = %(batch_id)s AND revision = %(revision)s
