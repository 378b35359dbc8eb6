-- Return the stages that have run, with the resources that their tasks needed.
SELECT split_part(task, '.', 1) AS stage, count(*) AS tasks, max(finished_at) AS last_finished_at,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS seconds_median,
       max(seconds) AS seconds_max, max(peak_memory_bytes) AS peak_memory_bytes
FROM task_metrics
GROUP BY 1
ORDER BY 1
