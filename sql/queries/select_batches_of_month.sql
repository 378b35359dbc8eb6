-- Return the batches of a month that have applications or scores.
SELECT batch_id FROM batches WHERE batch_id >= %(low)s AND batch_id < %(high)s
GROUP BY batch_id ORDER BY batch_id
