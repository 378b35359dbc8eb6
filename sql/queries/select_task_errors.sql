-- Return the recorded errors of a run's tasks; of mapped tasks each line once.
SELECT DISTINCT ON (task, error) task, error FROM task_metrics
WHERE run = %(run)s AND task = ANY (%(tasks)s) AND error IS NOT NULL
ORDER BY task, error
