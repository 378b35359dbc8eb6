-- When the last of a run's tasks that are named ended, and how many of them are on record.
SELECT count(DISTINCT task) AS tasks, max(finished_at) AS finished_at
FROM task_metrics
WHERE run = %(run)s AND task = ANY(%(tasks)s)
