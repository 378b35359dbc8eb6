-- Return the alerts on batches whose current scores are of a propensity version, the oldest first.
SELECT a.alert_id, a.raised_at, a.batch_id, a.last_batch_id, a.kind, a.severity, a.state, a.changed_by,
       a.message, a.comment
FROM alerts AS a
WHERE EXISTS (SELECT FROM scoring_runs AS r
              WHERE r.is_current AND r.propensity_version = %(model_version)s
                AND r.batch_id BETWEEN a.batch_id AND a.last_batch_id)
ORDER BY a.alert_id
