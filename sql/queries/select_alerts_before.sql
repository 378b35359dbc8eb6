-- Return the alerts with a smaller alert_id than the given one, the latest first.
SELECT alert_id, batch_id, last_batch_id, batches, severity, kind, subject, message, state,
       changed_by, changed_at, raised_at, comment
FROM alerts
WHERE alert_id < coalesce(%(before)s, 9223372036854775807)
  AND state = coalesce(%(state)s, state)
ORDER BY alert_id DESC
LIMIT %(limit)s
