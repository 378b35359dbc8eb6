-- Return the rows, seconds and waiting times of the tasks of the last 30 days, by stage.
SELECT stage, tasks, rows, errors, error_share, seconds_p50, seconds_p95, seconds_p99,
       rows_per_second, queue_seconds_p50, queue_seconds_p95, peak_memory_bytes, saturation
FROM slo_stages
ORDER BY array_position(ARRAY['ingest', 'outcomes', 'train', 'score', 'metrics'], stage), stage
