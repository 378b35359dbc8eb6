-- Close the alert on a channel after the channel accepted messages again.
UPDATE alerts SET state = 'resolved', changed_by = 'notify', changed_at = now()
WHERE kind = 'delivery' AND state <> 'resolved' AND subject = %(channel)s
