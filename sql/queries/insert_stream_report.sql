-- Record what a consumer of a stream has done since its last report, and what waits at the broker.
INSERT INTO task_metrics
    (run, task, map_index, batch_id, rows, seconds, errors, error, peak_memory_bytes, started_at,
     finished_at, lag_messages, oldest_seconds)
VALUES
    (%(run)s, %(task)s, %(map_index)s, %(batch_id)s, %(rows)s, %(seconds)s, %(errors)s, %(error)s,
     %(peak_memory_bytes)s, %(started_at)s, %(finished_at)s, %(lag_messages)s, %(oldest_seconds)s)
