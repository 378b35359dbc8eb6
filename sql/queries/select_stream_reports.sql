-- Return the last report of each consumer of a stream in the last day: lag, throughput, oldest message.
SELECT DISTINCT ON (regexp_replace(run, '-\d{4}-\d\d-\d\dT.*$', ''))
    regexp_replace(run, '-\d{4}-\d\d-\d\dT.*$', '') AS consumer, finished_at, rows,
    rows / greatest(extract(epoch FROM finished_at - started_at), 0.001)::double precision
        AS rows_per_second,
    lag_messages, oldest_seconds, errors, error, now() - finished_at > interval '1 minute' AS is_silent
FROM task_metrics
WHERE task = 'stream.consume' AND finished_at > now() - interval '1 day'
ORDER BY regexp_replace(run, '-\d{4}-\d\d-\d\dT.*$', ''), finished_at DESC
