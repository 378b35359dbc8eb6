-- Record the cost of a task. The errors of all tries of the task are added up.
INSERT INTO task_metrics
    (run, task, map_index, batch_id, rows, seconds, queue_seconds, errors, error,
     peak_memory_bytes, started_at, finished_at)
VALUES
    (%(run)s, %(task)s, %(map_index)s, %(batch_id)s, %(rows)s, %(seconds)s, %(queue_seconds)s,
     %(errors)s, %(error)s, %(peak_memory_bytes)s, %(started_at)s, %(finished_at)s)
ON CONFLICT (run, task, map_index) DO UPDATE SET
    batch_id = excluded.batch_id, rows = excluded.rows, seconds = excluded.seconds,
    queue_seconds = excluded.queue_seconds,
    errors = task_metrics.errors + excluded.errors, error = excluded.error,
    peak_memory_bytes = excluded.peak_memory_bytes,
    started_at = excluded.started_at, finished_at = excluded.finished_at
