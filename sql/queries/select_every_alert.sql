-- Return the alerts of every state, those of the first batch first.
SELECT kind, batch_id, last_batch_id, batches, state, severity, subject, message
FROM alerts
ORDER BY batch_id, kind, alert_id
