-- Delete the loans of a dropped month's batches from table `loans`. `low` is the month's first day,
-- `high` is the next month's.
DELETE FROM loans
WHERE batch_id >= %(low)s AND batch_id < %(high)s
  AND loan_id = ANY(ARRAY(
      SELECT loan_id FROM applications WHERE batch_id >= %(low)s AND batch_id < %(high)s
  ))
