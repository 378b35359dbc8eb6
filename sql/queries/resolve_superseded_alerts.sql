-- Close what a batch's earlier scoring runs raised: the current run speaks for the batch.
UPDATE alerts
SET state = 'resolved', changed_by = 'superseded by ' || %(scoring_run_id)s, changed_at = now()
WHERE batch_id = %(batch_id)s AND scoring_run_id <> %(scoring_run_id)s AND state <> 'resolved'
