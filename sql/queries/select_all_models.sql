-- Return every model version that scores loans, in the order of its number, to copy all of them to MLflow,
-- with the last verdict on it in one line.
SELECT m.model_version, m.kind, m.algorithm, m.parameters, m.features, m.metrics, m.training_data,
       m.fingerprint, m.code_version, m.artifact, m.artifact_sha256, m.leaks, m.created_at, p.verdict
FROM models AS m
LEFT JOIN LATERAL (
    SELECT concat_ws(': ', q.verdict || ' by ' || q.decided_by,
                     (SELECT string_agg(gate ->> 'sentence', ' ')
                      FROM jsonb_array_elements(q.evidence -> 'gates') AS gate
                      WHERE NOT (gate ->> 'passed')::boolean),
                     q.comment) AS verdict
    FROM promotions AS q
    WHERE q.model_version = m.model_version
    ORDER BY q.promotion_id DESC
    LIMIT 1
) AS p ON true
WHERE m.kind <> 'scans'
ORDER BY m.kind, m.number
