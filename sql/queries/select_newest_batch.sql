-- Return the newest business date of a published batch.
SELECT batch_id
FROM batches
WHERE state = 'published' AND batch_id <> 'history'
ORDER BY batch_id DESC
LIMIT 1
