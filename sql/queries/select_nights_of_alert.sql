-- Return the findings behind an alert by night, with the time at which the stage metrics wrote them.
SELECT r.batch_id, f.severity, f.message,
       coalesce((SELECT min(t.started_at) FROM task_metrics AS t
                 WHERE t.batch_id = r.batch_id AND t.task LIKE 'metrics.%%' AND t.started_at >= r.published_at), r.published_at)
           AS happened_at
FROM alerts AS a
JOIN scoring_runs AS r ON r.is_current AND r.batch_id BETWEEN a.batch_id AND a.last_batch_id
JOIN findings AS f ON f.scoring_run_id = r.scoring_run_id AND f.cause = a.kind
WHERE a.alert_id = %(alert_id)s
ORDER BY r.batch_id
