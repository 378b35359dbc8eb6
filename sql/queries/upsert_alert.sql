-- Raise an alert once; the same again leaves its state and its time as they are.
INSERT INTO alerts (scoring_run_id, batch_id, severity, kind, subject, message, evidence)
VALUES
    (%(scoring_run_id)s, %(batch_id)s, %(severity)s, %(kind)s, %(subject)s,
     %(message)s, %(evidence)s)
ON CONFLICT (scoring_run_id, kind, subject) DO UPDATE SET
    severity = excluded.severity, message = excluded.message, evidence = excluded.evidence
