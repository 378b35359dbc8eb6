-- Close the alerts on channels that are no longer in the contract.
UPDATE alerts SET state = 'resolved', changed_by = 'metrics', changed_at = now()
WHERE kind = 'delivery' AND state <> 'resolved' AND subject <> ALL (%(channels)s::text[])
