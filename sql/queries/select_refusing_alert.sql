-- Return whether an open quality alert already says why a batch was refused.
SELECT alert_id FROM alerts
WHERE kind = 'quality' AND severity = 'critical' AND state <> 'resolved' AND batch_id = %(batch_id)s
LIMIT 1
