-- Delete the quarantined rows of all batches of one month, and of the files of outcomes of its dates.
DELETE FROM quarantine
WHERE batch_id >= %(low)s AND batch_id < %(high)s
   OR batch_id >= 'outcomes-' || %(low)s AND batch_id < 'outcomes-' || %(high)s
