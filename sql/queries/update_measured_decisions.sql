-- Record in the current scoring run of a batch how many decisions people have made on the batch.
UPDATE scoring_runs
SET measured_decisions = (SELECT count(*) FROM approvals WHERE batch_id = %(batch_id)s)
WHERE batch_id = %(batch_id)s AND is_current
