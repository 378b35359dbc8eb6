-- Delete the quarantined rows of all batches of one month.
DELETE FROM quarantine WHERE batch_id >= %(low)s AND batch_id < %(high)s
