-- Return the numbers of applications of the last published batches before a given batch. Dates that were
-- declared empty are left out.
SELECT accepted
FROM batches
WHERE is_current AND batch_id < %(batch_id)s AND batch_id <> 'history' AND received > 0
ORDER BY batch_id DESC
LIMIT %(nights)s
