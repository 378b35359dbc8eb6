-- Open or update the alert on one kind of finding about the landing folder.
INSERT INTO alerts (kind, subject, batch_id, last_batch_id, batches, severity, message, evidence,
                    changed_by)
VALUES ('landing', %(finding)s, %(batch_id)s, %(last_batch_id)s, %(batches)s, %(severity)s,
        %(message)s, %(evidence)s, 'reconcile')
ON CONFLICT (subject) WHERE kind = 'landing' AND state <> 'resolved' DO UPDATE SET
    batch_id = excluded.batch_id, last_batch_id = excluded.last_batch_id,
    batches = excluded.batches, message = excluded.message, evidence = excluded.evidence
