-- Return the batch before a given batch and the batch after it.
SELECT
    (SELECT max(batch_id) FROM batches
      WHERE batch_id < %(batch_id)s AND batch_id <> 'history') AS before,
    (SELECT min(batch_id) FROM batches
      WHERE batch_id > %(batch_id)s AND batch_id <> 'history') AS after
