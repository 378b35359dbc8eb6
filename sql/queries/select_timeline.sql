-- Return what happened to a portfolio, the latest first: events of batches, drift, alerts, training,
-- models and people.
-- Each event has a group, which the page filters by, and facts for its sentence. The time of a finding is
-- when the stage metrics first began after the scores were published; of a finding on outcomes, when it
-- last began.
WITH measured AS (
    SELECT batch_id, min(started_at) AS first_at, max(started_at) AS last_at
    FROM task_metrics
    WHERE task LIKE 'metrics.%%' AND batch_id IS NOT NULL
    GROUP BY batch_id
), events AS (
    SELECT landed_at AS happened_at, 'batch' AS part,
           CASE state WHEN 'refused' THEN 'refused by checks' ELSE 'landed' END AS event,
           batch_id, batch_id || ' ' || revision AS subject, NULL::text AS done_by,
           jsonb_build_object('revision', revision, 'received', received, 'accepted', accepted,
                              'source', source) AS facts
    FROM batches
    UNION ALL
    SELECT landed_at, 'batch', 'quarantined', batch_id, batch_id || ' ' || revision, NULL,
           jsonb_build_object('revision', revision, 'quarantined', quarantined, 'received', received)
    FROM batches
    WHERE quarantined > 0
    UNION ALL
    SELECT landed_at, 'batch', 'outcomes landed', NULL, drop_id || ' ' || revision, NULL,
           jsonb_build_object('drop_id', drop_id, 'received', received, 'accepted', accepted)
    FROM outcome_drops
    UNION ALL
    SELECT published_at, 'scores', 'scored', batch_id, scoring_run_id, NULL,
           jsonb_build_object('applications', applications, 'scored', scored, 'referred', referred,
                              'version', propensity_version, 'is_current', is_current)
    FROM scoring_runs
    WHERE state = 'published'
    UNION ALL
    SELECT CASE f.cause WHEN 'concept' THEN greatest(r.published_at, m.last_at)
                        ELSE greatest(r.published_at, m.first_at) END,
           'drift', 'drifted', r.batch_id, r.batch_id || ' ' || f.cause, NULL,
           jsonb_build_object('cause', f.cause, 'severity', f.severity, 'message', f.message)
    FROM findings AS f
    JOIN scoring_runs AS r USING (scoring_run_id)
    LEFT JOIN measured AS m ON m.batch_id = r.batch_id
    WHERE r.is_current
    UNION ALL
    SELECT raised_at, 'alerts', 'alert raised', batch_id, 'alert ' || alert_id, NULL,
           jsonb_build_object('alert_id', alert_id, 'kind', kind, 'severity', severity,
                              'message', message)
    FROM alerts
    UNION ALL
    SELECT recorded_at, 'alerts', action, NULL, subject, done_by, details
    FROM audit_log
    WHERE action = ANY (ARRAY['alert.acknowledge', 'alert.snooze', 'alert.resolve', 'alert.assign'])
    UNION ALL
    SELECT requested_at, 'training', verdict, batch_id, 'request ' || request_id, NULL,
           jsonb_build_object('cause', cause, 'reason', reason)
    FROM retrain_requests
    UNION ALL
    SELECT created_at, 'training', 'trained', NULL, model_version, training_data ->> 'triggered_by',
           jsonb_build_object('version', model_version, 'algorithm', algorithm,
                              'applications', training_data -> 'applications',
                              'auc', metrics -> 'auc')
    FROM models
    WHERE kind = 'propensity'
    UNION ALL
    SELECT decided_at, 'models', verdict, NULL, model_version || ' ' || promotion_id, decided_by,
           jsonb_build_object(
               'version', model_version, 'occasion', occasion, 'comment', comment,
               'replaces', replaces, 'overruled', evidence -> 'overruled',
               'failed', (SELECT jsonb_agg(gate ->> 'sentence')
                          FROM jsonb_array_elements(evidence -> 'gates') AS gate
                          WHERE NOT (gate ->> 'passed')::boolean))
    FROM promotions
    WHERE kind = 'propensity'
    UNION ALL
    SELECT started_at, 'models', 'shadow begun', NULL, propensity_version || ' ' || shadow_id, started_by,
           jsonb_build_object('version', propensity_version, 'beside', champion, 'stage', stage)
    FROM shadows
    UNION ALL
    SELECT ended_at, 'models', 'shadow ended', NULL, propensity_version || ' ' || shadow_id, NULL,
           jsonb_build_object('version', propensity_version, 'ended_as', ended_as, 'reason', reason)
    FROM shadows
    WHERE ended_at IS NOT NULL
    UNION ALL
    SELECT signed_at, 'models', 'signed', NULL, model_version || ' ' || signed_as, signed_by,
           jsonb_build_object('version', model_version, 'signed_as', signed_as, 'comment', comment)
    FROM model_signatures
    UNION ALL
    SELECT max(decided_at), 'people', 'decided', batch_id, batch_id || ' ' || decided_at::date, NULL,
           jsonb_build_object(
               'loans', count(DISTINCT loan_id), 'persons', count(DISTINCT decided_by),
               'approved', count(DISTINCT loan_id) FILTER (WHERE decision = 'approve'),
               'declined', count(DISTINCT loan_id) FILTER (WHERE decision = 'decline'))
    FROM approvals
    GROUP BY batch_id, decided_at::date
    UNION ALL
    SELECT recorded_at, 'batch', action, NULL, subject, done_by, details
    FROM audit_log
    WHERE action = ANY (ARRAY['batch.withdraw', 'batch.restore', 'outcomes.withdraw',
                              'outcomes.restore', 'outcomes.correct'])
)
SELECT happened_at, part, event, batch_id, subject, done_by, facts
FROM events
WHERE happened_at IS NOT NULL
  AND (%(part)s::text IS NULL OR part = %(part)s)
  AND (%(batch_id)s::text IS NULL OR batch_id = %(batch_id)s OR subject LIKE %(batch_id)s || '%%')
  AND (%(since)s::date IS NULL OR happened_at >= %(since)s::date)
  AND (%(until)s::date IS NULL OR happened_at < %(until)s::date + 1)
  AND (%(happened_at)s::timestamptz IS NULL
       OR (happened_at, event, subject) < (%(happened_at)s, %(event)s, %(subject)s))
ORDER BY happened_at DESC, event DESC, subject DESC
LIMIT %(limit)s
