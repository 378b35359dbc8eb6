-- Close the alerts on contracts that are no longer broken, or whose alert belongs to another schema.
UPDATE alerts SET state = 'resolved', changed_by = 'contracts', changed_at = now()
WHERE kind = 'contract' AND state <> 'resolved' AND subject <> ALL (%(subjects)s)
