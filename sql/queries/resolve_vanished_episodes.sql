-- Close episodes that no batch shows any more: after a correction, a new scoring, or a merge of episodes.
UPDATE alerts SET state = 'resolved', changed_by = %(changed_by)s, changed_at = now()
WHERE kind = %(kind)s AND state <> 'resolved' AND batch_id > %(since)s
  AND batch_id <> ALL (%(first_batch_ids)s)
