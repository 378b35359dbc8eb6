-- Return the rows, seconds, waiting times and failed tries of the tasks of the last 30 days, by stage.
-- A mapped task may wait because the DAG itself lets only so many of its siblings run at once. That is no
-- lack of capacity. So a mapped task waits only from the end of the last sibling that ended before it
-- started.
WITH tasks AS (
    SELECT t.*, split_part(t.task, '.', 1) AS stage,
           CASE WHEN t.map_index < 0 THEN t.queue_seconds
                ELSE least(t.queue_seconds, extract(epoch FROM t.started_at - (
                    SELECT max(s.finished_at) FROM task_metrics AS s
                    WHERE s.run = t.run AND s.task = t.task AND s.map_index <> t.map_index
                      AND s.finished_at <= t.started_at))::double precision)
           END AS waited
    FROM task_metrics AS t
    WHERE t.started_at > now() - interval '30 days'
)
SELECT stage, count(*) AS tasks, sum(rows)::bigint AS rows, sum(errors) AS errors,
       count(*) FILTER (WHERE errors > 0) AS tasks_with_errors,
       count(*) FILTER (WHERE errors > 0)::double precision / count(*) AS error_share,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds_p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS seconds_p95,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds) AS seconds_p99,
       sum(rows)::double precision / nullif(sum(seconds), 0) AS rows_per_second,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY waited) AS queue_seconds_p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY waited) AS queue_seconds_p95,
       max(peak_memory_bytes) AS peak_memory_bytes,
       sum(waited) / nullif(sum(waited + seconds), 0) AS saturation
FROM tasks
GROUP BY stage
ORDER BY array_position(ARRAY['ingest', 'outcomes', 'train', 'score', 'metrics'], stage), stage
