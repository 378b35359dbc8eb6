-- Return one alert and lock its row until the transaction ends.
SELECT alert_id, state, severity, kind, subject, snoozed_until, assignee
FROM alerts
WHERE alert_id = %(alert_id)s
FOR UPDATE
