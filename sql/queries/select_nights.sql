-- Return the last nights, the oldest first. Each night shows the current revision of its batch, or the
-- last revision if none is current.
-- Each row has the row counts, whether scores were in time by the rule of the view `slo`, and results of
-- scoring and metrics.
WITH nights AS (
    SELECT DISTINCT ON (batch_id)
        batch_id, revision, state, is_current, source, received, accepted, quarantined, landed_at,
        withdrawn_at, withdrawn_by, withdrawal_comment
    FROM batches
    WHERE batch_id <> 'history' AND (%(until)s::text IS NULL OR batch_id <= %(until)s)
    ORDER BY batch_id DESC, is_current DESC, revision DESC
    LIMIT %(nights)s
)
SELECT
    n.*, r.scoring_run_id, r.revision AS scored_revision, r.applications, r.scored, r.referred,
    r.propensity_version, r.personas_version, r.policy, told.first_landed_at, told.scored_at, told.due_at,
    CASE
        WHEN n.withdrawn_at IS NOT NULL THEN 'withdrawn'
        WHEN n.state = 'refused' THEN 'refused'
        WHEN told.is_refused AND told.scored_at IS NOT NULL THEN 'late'
        WHEN told.scored_at <= told.due_at THEN 'on time'
        WHEN told.scored_at IS NOT NULL OR told.due_at < now() THEN 'late'
        ELSE 'waiting'
    END AS punctuality,
    p.approval_rate, p.default_rate, p.loss_of_approved, d.counts AS decisions,
    t.drifted_features, t.critical_features, t.tests, l.open_alerts, l.alert_ids
FROM nights AS n
LEFT JOIN scoring_runs AS r ON r.batch_id = n.batch_id AND r.is_current
CROSS JOIN LATERAL (
    SELECT
        b.landed_at AS first_landed_at, b.state = 'refused' AS is_refused,
        b.landed_at + s.scored_within_minutes * interval '1 minute' AS due_at,
        (SELECT min(published_at) FROM scoring_runs AS each
          WHERE each.batch_id = b.batch_id) AS scored_at
    FROM batches AS b
    CROSS JOIN service_levels AS s
    WHERE b.batch_id = n.batch_id AND b.revision = 1
) AS told
LEFT JOIN LATERAL (
    SELECT
        max(value) FILTER (WHERE metric = 'approval_rate') AS approval_rate,
        max(value) FILTER (WHERE metric = 'default_rate') AS default_rate,
        max(value) FILTER (WHERE metric = 'loss_of_approved') AS loss_of_approved
    FROM performance
    WHERE scoring_run_id = r.scoring_run_id AND segment = 'all' AND basis = 'estimated'
) AS p ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS tests,
           count(DISTINCT kind || feature) FILTER (WHERE level <> 'stable') AS drifted_features,
           count(DISTINCT kind || feature) FILTER (WHERE level = 'drifted') AS critical_features
    FROM drift
    WHERE scoring_run_id = r.scoring_run_id
) AS t ON true
LEFT JOIN distributions AS d
    ON d.scoring_run_id = r.scoring_run_id AND d.kind = 'prediction' AND d.feature = 'decision'
LEFT JOIN LATERAL (
    SELECT count(*) AS open_alerts, array_agg(a.alert_id ORDER BY a.alert_id) AS alert_ids
      FROM alerts AS a
      WHERE a.state <> 'resolved'
        AND CASE WHEN a.kind IN ('failure', 'delivery')
                 THEN n.batch_id BETWEEN a.batch_id AND a.last_batch_id
                 WHEN a.revision IS NULL
                 THEN n.batch_id BETWEEN a.batch_id AND a.last_batch_id
                      AND EXISTS (SELECT FROM findings AS f
                                  WHERE f.scoring_run_id = r.scoring_run_id AND f.cause = a.kind)
                 ELSE a.batch_id = n.batch_id AND a.revision = n.revision END
) AS l ON true
ORDER BY n.batch_id
