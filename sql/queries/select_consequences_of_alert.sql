-- Return what followed from an alert, the oldest first: its requests for training, the first model that was
-- trained after each request that was made, and the verdicts on these models.
WITH requests AS (
    SELECT q.requested_at, q.batch_id, q.verdict, q.reason
    FROM alerts AS a
    JOIN retrain_requests AS q ON q.cause = a.kind AND q.batch_id BETWEEN a.batch_id AND a.last_batch_id
    WHERE a.alert_id = %(alert_id)s
), trained AS (
    SELECT DISTINCT ON (m.model_version)
           m.created_at, m.model_version, m.algorithm, m.metrics -> 'auc' AS auc
    FROM requests AS q
    CROSS JOIN LATERAL (
        SELECT * FROM models
        WHERE kind = 'propensity' AND created_at > q.requested_at
        ORDER BY created_at
        LIMIT 1
    ) AS m
    WHERE q.verdict = 'asked'
)
SELECT requested_at AS happened_at, verdict AS event, NULL AS done_by, batch_id, NULL AS version,
       jsonb_build_object('reason', reason) AS facts
FROM requests
UNION ALL
SELECT created_at, 'trained', NULL, NULL, model_version,
       jsonb_build_object('version', model_version, 'algorithm', algorithm, 'auc', auc)
FROM trained
UNION ALL
SELECT p.decided_at, p.verdict, p.decided_by, NULL, p.model_version,
       jsonb_build_object(
           'version', p.model_version, 'occasion', p.occasion, 'comment', p.comment,
           'replaces', p.replaces, 'overruled', p.evidence -> 'overruled',
           'failed', (SELECT jsonb_agg(gate ->> 'sentence')
                      FROM jsonb_array_elements(p.evidence -> 'gates') AS gate
                      WHERE NOT (gate ->> 'passed')::boolean))
FROM trained AS t
JOIN promotions AS p ON p.model_version = t.model_version
ORDER BY happened_at
