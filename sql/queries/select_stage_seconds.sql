-- Return how long the tasks of each stage worked in all runs together, in seconds.
SELECT split_part(task, '.', 1) AS stage, count(*) AS tasks, sum(seconds) AS seconds,
       sum(rows) AS rows, sum(errors) AS errors
FROM task_metrics
GROUP BY stage
ORDER BY min(started_at)
