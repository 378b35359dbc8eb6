-- Close alerts on channels that the contract no longer has.
UPDATE alerts SET state = 'resolved', changed_by = 'metrics', changed_at = now()
WHERE kind = 'delivery' AND state <> 'resolved' AND subject <> ALL (%(channels)s::text[])
