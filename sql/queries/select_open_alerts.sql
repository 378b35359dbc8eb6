-- Return the alerts that are not resolved, in the order of their batches.
SELECT alert_id, batch_id, last_batch_id, batches, severity, kind, subject, message, state
FROM open_alerts
ORDER BY batch_id, severity, alert_id
