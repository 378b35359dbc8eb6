-- Return the tables whose partition for a batch's month retention has dropped, scores before
-- applications.
SELECT table_name, rows, dropped_by, dropped_at
FROM dropped_partitions
WHERE month = left(%(batch_id)s, 7) AND table_name IN ('applications', 'scores')
ORDER BY table_name DESC
