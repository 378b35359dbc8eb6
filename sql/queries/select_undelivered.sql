-- Return the messages that a channel has not accepted yet, with their alerts, the oldest first.
SELECT d.alert_id, d.number, d.event, d.severity, d.message, d.queued_at, a.kind, a.subject,
       a.batch_id, a.last_batch_id
FROM deliveries AS d JOIN alerts AS a USING (alert_id)
WHERE d.channel = %(channel)s AND d.delivered_at IS NULL
ORDER BY d.queued_at, d.alert_id, d.number
LIMIT %(most)s
