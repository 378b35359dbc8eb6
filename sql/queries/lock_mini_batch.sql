-- Return one mini-batch and lock its row until the transaction ends, so that no other process scores it.
SELECT mini_batch, first_loan_id, last_loan_id, applications, state
FROM mini_batches
WHERE scoring_run_id = %(scoring_run_id)s AND mini_batch = %(mini_batch)s
FOR UPDATE
