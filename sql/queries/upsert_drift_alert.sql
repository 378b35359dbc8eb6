-- Open or update the alert on an episode of a cause. The acknowledgement of a person stays while the
-- alert is open. The snooze of a person also stays, unless the alert becomes critical.
INSERT INTO alerts (kind, batch_id, last_batch_id, batches, state, scoring_run_id, severity, subject,
                    message, evidence, changed_by)
VALUES
    (%(kind)s, %(batch_id)s, %(last_batch_id)s, %(batches)s, %(state)s, %(scoring_run_id)s,
     %(severity)s, %(subject)s, %(message)s, %(evidence)s, %(changed_by)s)
ON CONFLICT (kind, batch_id) WHERE kind IN ('bad_data', 'population', 'concept') DO UPDATE SET
    last_batch_id = excluded.last_batch_id, batches = excluded.batches,
    scoring_run_id = excluded.scoring_run_id, severity = excluded.severity,
    subject = excluded.subject, message = excluded.message, evidence = excluded.evidence,
    snoozed_until = CASE WHEN excluded.severity = alerts.severity OR excluded.severity = 'warning'
                         THEN alerts.snoozed_until END,
    state = CASE WHEN (alerts.state = 'resolved') = (excluded.state = 'resolved')
                 THEN alerts.state ELSE excluded.state END,
    changed_by = CASE WHEN (alerts.state = 'resolved') = (excluded.state = 'resolved')
                      THEN alerts.changed_by ELSE excluded.changed_by END,
    changed_at = CASE WHEN (alerts.state = 'resolved') = (excluded.state = 'resolved')
                      THEN alerts.changed_at ELSE now() END
