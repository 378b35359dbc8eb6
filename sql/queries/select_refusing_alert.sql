-- Return an open critical quality alert of a refused batch, if there is one. The alert already says why
-- the batch was refused.
SELECT alert_id FROM alerts
WHERE kind = 'quality' AND severity = 'critical' AND state <> 'resolved' AND batch_id = %(batch_id)s
LIMIT 1
