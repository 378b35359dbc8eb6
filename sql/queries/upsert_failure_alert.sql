-- Open or update the alert on a stage that failed for a batch.
INSERT INTO alerts (kind, subject, batch_id, last_batch_id, severity, message, evidence, changed_by)
VALUES ('failure', %(stage)s, %(batch_id)s, %(batch_id)s, %(severity)s, %(message)s, %(evidence)s,
        'notify')
ON CONFLICT (subject, batch_id) WHERE kind = 'failure' AND state <> 'resolved' DO UPDATE SET
    message = excluded.message, evidence = excluded.evidence
