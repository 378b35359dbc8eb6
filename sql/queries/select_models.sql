-- Return every model version with its last verdict, and whether it is a champion.
SELECT m.model_version, m.kind, m.algorithm, m.metrics, m.created_at, m.fingerprint,
       p.verdict, p.occasion, p.decided_by, p.decided_at, p.comment,
       EXISTS (SELECT FROM champions AS c WHERE c.model_version = m.model_version) AS is_champion
FROM models AS m
LEFT JOIN LATERAL (
    SELECT * FROM promotions AS q
    WHERE q.model_version = m.model_version
    ORDER BY q.promotion_id DESC LIMIT 1
) AS p ON true
ORDER BY m.kind DESC, m.number
