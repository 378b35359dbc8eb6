-- Return the tasks that failed at least once in the last 30 days, the latest first.
SELECT task, batch_id, run, map_index, errors, error, seconds, finished_at
FROM task_metrics
WHERE errors > 0 AND started_at > now() - interval '30 days'
ORDER BY finished_at DESC
LIMIT 20
