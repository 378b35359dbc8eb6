-- Return the Airflow runs and commands that worked on a batch, in the order in which they began.
SELECT split_part(task, '.', 1) AS stage, run, count(*) AS tasks, sum(rows) AS rows,
       sum(seconds) AS seconds, sum(errors) AS errors, min(started_at) AS started_at
FROM task_metrics
WHERE batch_id = %(batch_id)s
GROUP BY stage, run
ORDER BY started_at
