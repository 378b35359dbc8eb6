-- Close the alert on scans whose cause is gone.
UPDATE alerts SET state = 'resolved', changed_by = 'scans', changed_at = now()
WHERE kind = 'scans' AND state <> 'resolved' AND subject = %(subject)s
