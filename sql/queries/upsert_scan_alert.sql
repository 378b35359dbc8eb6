-- Open or update an alert on scans. One that a person resolved opens again by a later batch only.
INSERT INTO alerts (kind, subject, batch_id, last_batch_id, batches, severity, message, evidence,
                    changed_by)
SELECT 'scans', %(subject)s, %(batch_id)s, %(last_batch_id)s, %(batches)s, %(severity)s,
       %(message)s, %(evidence)s, 'scans'
WHERE NOT EXISTS (
    SELECT FROM alerts AS a
    WHERE a.kind = 'scans' AND a.subject = %(subject)s AND a.state = 'resolved'
      AND a.changed_by <> 'scans' AND a.last_batch_id >= %(last_batch_id)s)
ON CONFLICT (subject) WHERE kind = 'scans' AND state <> 'resolved' DO UPDATE SET
    batch_id = least(alerts.batch_id, excluded.batch_id), last_batch_id = excluded.last_batch_id,
    batches = greatest(alerts.batches, excluded.batches), message = excluded.message,
    evidence = excluded.evidence
