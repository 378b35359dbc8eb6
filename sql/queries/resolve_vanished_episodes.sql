-- Close alerts on episodes that no batch shows any more. Episodes can vanish after a correction, after
-- new scoring, or when two episodes merge.
UPDATE alerts SET state = 'resolved', changed_by = %(changed_by)s, changed_at = now()
WHERE kind = %(kind)s AND state <> 'resolved' AND batch_id > %(since)s
  AND batch_id <> ALL (%(first_batch_ids)s)
