-- Open or update the alert on a channel that does not accept messages.
INSERT INTO alerts (kind, subject, batch_id, last_batch_id, severity, message, evidence, changed_by)
VALUES ('delivery', %(channel)s, %(batch_id)s, %(batch_id)s, 'critical', %(message)s, %(evidence)s,
        'notify')
ON CONFLICT (subject) WHERE kind = 'delivery' AND state <> 'resolved' DO UPDATE SET
    last_batch_id = greatest(alerts.last_batch_id, excluded.last_batch_id),
    message = excluded.message, evidence = excluded.evidence
