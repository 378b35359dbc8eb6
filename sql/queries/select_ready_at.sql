-- Return when the last of the given tasks of an Airflow run ended, and how many of them are recorded.
SELECT count(DISTINCT task) AS tasks, max(finished_at) AS finished_at
FROM task_metrics
WHERE run = %(run)s AND task = ANY(%(tasks)s)
