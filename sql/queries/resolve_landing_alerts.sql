-- Close the alerts on findings about the landing folder of which none is left.
UPDATE alerts SET state = 'resolved', changed_by = 'reconcile', changed_at = now()
WHERE kind = 'landing' AND state <> 'resolved' AND subject <> ALL (%(findings)s)
