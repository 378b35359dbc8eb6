-- What retention has dropped of the month of a batch, scores before applications.
SELECT table_name, rows, dropped_by, dropped_at
FROM dropped_partitions
WHERE month = left(%(batch_id)s, 7) AND table_name <> 'calls'
ORDER BY table_name DESC
