-- Raise an alert on a run's outcomes once; it opens again only where outcomes themselves had closed it.
INSERT INTO alerts (scoring_run_id, batch_id, severity, kind, subject, message, evidence, changed_by)
VALUES
    (%(scoring_run_id)s, %(batch_id)s, %(severity)s, %(kind)s, %(subject)s,
     %(message)s, %(evidence)s, 'performance')
ON CONFLICT (scoring_run_id, kind, subject) DO UPDATE SET
    severity = excluded.severity, message = excluded.message, evidence = excluded.evidence,
    state = CASE WHEN alerts.changed_by = 'performance' THEN 'open' ELSE alerts.state END,
    changed_at = CASE WHEN alerts.changed_by = 'performance' AND alerts.state = 'resolved'
                      THEN now() ELSE alerts.changed_at END
