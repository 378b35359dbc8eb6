-- Return the numbers of applications of the last published batches before a given batch.
SELECT accepted
FROM batches
WHERE is_current AND batch_id < %(batch_id)s AND batch_id <> 'history'
ORDER BY batch_id DESC
LIMIT %(nights)s
