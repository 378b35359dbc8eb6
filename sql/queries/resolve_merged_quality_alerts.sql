-- Close a quality alert on a column if an alert on bad data of the same batch already names the column.
UPDATE alerts AS a SET state = 'resolved', changed_by = 'metrics', changed_at = now()
FROM findings AS f JOIN scoring_runs AS r ON r.scoring_run_id = f.scoring_run_id AND r.is_current
WHERE a.kind = 'quality' AND a.state <> 'resolved' AND f.cause = 'bad_data'
  AND r.batch_id = a.batch_id AND r.revision = a.revision AND a.subject = ANY (f.subjects)
