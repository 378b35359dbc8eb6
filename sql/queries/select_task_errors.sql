-- Return the recorded errors of the given tasks of an Airflow run. Equal errors of a mapped task are
-- returned once.
SELECT DISTINCT ON (task, error) task, error FROM task_metrics
WHERE run = %(run)s AND task = ANY (%(tasks)s) AND error IS NOT NULL
ORDER BY task, error
