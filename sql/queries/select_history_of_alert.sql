-- Return when an alert was raised, what people did with it and whom channels told of it, the oldest first.
SELECT raised_at AS happened_at, 'alert raised' AS event, NULL AS done_by,
       jsonb_build_object('kind', kind, 'severity', severity, 'message', message) AS facts
FROM alerts
WHERE alert_id = %(alert_id)s
UNION ALL
SELECT recorded_at, action, done_by, details
FROM audit_log
WHERE subject = 'alert ' || %(alert_id)s
UNION ALL
SELECT coalesce(delivered_at, queued_at), CASE WHEN delivered_at IS NULL THEN 'not told' ELSE 'told' END, NULL,
       jsonb_build_object('channel', channel, 'event', event, 'error', error)
FROM deliveries
WHERE alert_id = %(alert_id)s
ORDER BY happened_at
