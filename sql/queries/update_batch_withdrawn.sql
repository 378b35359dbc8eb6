-- Take a batch revision out: it is no longer current, and a person said why.
UPDATE batches
SET is_current = false, withdrawn_at = now(), withdrawn_by = %(by)s,
    withdrawal_comment = %(comment)s
WHERE batch_id = %(batch_id)s AND revision = %(revision)s
