-- Return every model version with its last verdict, and whether it is a champion.
SELECT m.model_version, m.kind, m.algorithm, m.metrics, m.created_at, m.fingerprint, m.artifact_sha256,
       m.training_data ->> 'triggered_by' AS triggered_by,
       p.verdict, p.occasion, p.decided_by, p.decided_at, p.comment,
       p.evidence ->> 'outdated' AS outdated,
       ARRAY(SELECT gate ->> 'gate' || ': ' || (gate ->> 'sentence')
             FROM jsonb_array_elements(p.evidence -> 'gates') AS gate
             WHERE NOT (gate ->> 'passed')::boolean) AS failed,
       EXISTS (SELECT FROM models_in_use AS c WHERE c.model_version = m.model_version) AS is_champion
FROM models AS m
LEFT JOIN LATERAL (
    SELECT * FROM promotions AS q
    WHERE q.model_version = m.model_version
    ORDER BY q.promotion_id DESC LIMIT 1
) AS p ON true
ORDER BY m.kind DESC, m.number
