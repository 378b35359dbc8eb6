-- Open or update the alert on the open day of a stream.
INSERT INTO alerts (scoring_run_id, kind, subject, batch_id, last_batch_id, severity, message,
                    evidence, changed_by)
VALUES (%(scoring_run_id)s, 'open_day', %(batch_id)s, %(batch_id)s, %(batch_id)s, %(severity)s,
        %(message)s, %(evidence)s, 'stream')
ON CONFLICT (subject) WHERE kind = 'open_day' AND state <> 'resolved' DO UPDATE SET
    severity = excluded.severity, message = excluded.message, evidence = excluded.evidence
