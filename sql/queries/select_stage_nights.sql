-- Return how long the tasks of each stage worked on each of the given batches, in seconds.
SELECT batch_id, split_part(task, '.', 1) AS stage, sum(seconds) AS seconds, sum(rows) AS rows,
       sum(errors) AS errors, max(queue_seconds) AS queue_seconds
FROM task_metrics
WHERE batch_id = ANY (%(batch_ids)s)
GROUP BY batch_id, stage
ORDER BY batch_id, stage
