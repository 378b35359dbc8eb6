-- Return the newest propensity version, the last verdict on it, and the champion if there is one. Versions
-- that wait in shadow are left out, because their shadow says what becomes of them.
SELECT m.model_version, p.verdict, p.decided_by, p.comment, p.evidence,
       (SELECT c.model_version FROM champions AS c WHERE c.kind = m.kind) AS champion
FROM models AS m
LEFT JOIN LATERAL (
    SELECT * FROM promotions AS q
    WHERE q.model_version = m.model_version
    ORDER BY q.promotion_id DESC
    LIMIT 1
) AS p ON true
WHERE m.kind = 'propensity'
  AND (p.verdict IS NOT NULL
       OR NOT EXISTS (SELECT FROM shadows AS s WHERE s.propensity_version = m.model_version))
ORDER BY m.number DESC
LIMIT 1
