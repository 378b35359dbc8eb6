-- Return how many applications the last published nights before a night brought.
SELECT accepted
FROM batches
WHERE is_current AND batch_id < %(batch_id)s AND batch_id <> 'history'
ORDER BY batch_id DESC
LIMIT %(nights)s
