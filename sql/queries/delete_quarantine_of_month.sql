-- Delete the refused rows of the batches of a month.
DELETE FROM quarantine WHERE batch_id >= %(low)s AND batch_id < %(high)s
