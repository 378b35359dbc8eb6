-- Close the alerts on days of a stream that have ended or are sealed. The sealed day has its own.
UPDATE alerts AS a SET state = 'resolved', changed_by = 'stream', changed_at = now()
WHERE a.kind = 'open_day' AND a.state <> 'resolved'
  AND (a.subject < %(batch_id)s OR EXISTS (
      SELECT FROM batches AS b
      WHERE b.batch_id = a.subject AND b.kind = 'stream' AND b.sealed_at IS NOT NULL))
