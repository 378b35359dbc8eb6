-- Close what a run's outcomes no longer show, as more of them are in.
UPDATE alerts SET state = 'resolved', changed_by = 'performance', changed_at = now()
WHERE scoring_run_id = %(scoring_run_id)s AND kind = ANY (%(kinds)s) AND state <> 'resolved'
  AND NOT subject = ANY (%(subjects)s)
