-- Return how long each stage's tasks worked, all runs together.
SELECT split_part(task, '.', 1) AS stage, count(*) AS tasks, sum(seconds) AS seconds,
       sum(rows) AS rows, sum(errors) AS errors
FROM task_metrics
GROUP BY stage
ORDER BY min(started_at)
