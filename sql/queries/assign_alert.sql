-- Assign an alert that is not resolved to a person, or to nobody. Its state does not change.
UPDATE alerts
SET assignee = %(assignee)s
WHERE alert_id = %(alert_id)s AND state <> 'resolved'
