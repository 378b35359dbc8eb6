-- Open or update the alert on a broken contract.
INSERT INTO alerts (kind, subject, batch_id, last_batch_id, severity, message, evidence, changed_by)
VALUES ('contract', %(subject)s, %(batch_id)s, %(batch_id)s, 'critical', %(message)s, '{}', 'contracts')
ON CONFLICT (subject) WHERE kind = 'contract' AND state <> 'resolved' DO UPDATE SET
    last_batch_id = excluded.last_batch_id, message = excluded.message
