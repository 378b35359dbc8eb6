-- Open or update the quality alert on a subject of a batch revision. A closed alert opens again only if
-- the quality check had closed it.
INSERT INTO alerts (batch_id, last_batch_id, revision, severity, kind, subject, message, evidence,
                    changed_by)
VALUES
    (%(batch_id)s, %(batch_id)s, %(revision)s, %(severity)s, 'quality', %(subject)s,
     %(message)s, %(evidence)s, 'quality')
ON CONFLICT (batch_id, revision, kind, subject) WHERE scoring_run_id IS NULL DO UPDATE SET
    severity = excluded.severity, message = excluded.message, evidence = excluded.evidence,
    state = CASE WHEN alerts.changed_by = 'quality' THEN 'open' ELSE alerts.state END,
    changed_at = CASE WHEN alerts.changed_by = 'quality' AND alerts.state = 'resolved'
                      THEN now() ELSE alerts.changed_at END
