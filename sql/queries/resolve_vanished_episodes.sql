-- Close what no batch shows any more: a corrected revision, a batch scored anew, episodes that are one.
UPDATE alerts SET state = 'resolved', changed_by = %(changed_by)s, changed_at = now()
WHERE kind = %(kind)s AND state <> 'resolved' AND batch_id > %(since)s
  AND batch_id <> ALL (%(first_batch_ids)s)
