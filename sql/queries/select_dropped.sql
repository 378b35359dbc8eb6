-- Return the tables of which retention has dropped a batch's month, scores before applications.
SELECT table_name, rows, dropped_by, dropped_at
FROM dropped_partitions
WHERE month = left(%(batch_id)s, 7) AND table_name <> 'calls'
ORDER BY table_name DESC
