-- Record a person's action on an alert that is not resolved.
UPDATE alerts
SET state = %(state)s, changed_by = %(changed_by)s, changed_at = now(),
    comment = coalesce(%(comment)s, comment), snoozed_until = %(snoozed_until)s
WHERE alert_id = %(alert_id)s AND state <> 'resolved'
