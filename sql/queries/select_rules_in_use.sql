-- Return the batches and files of outcomes that count now, each with the rules by which it was read.
SELECT 'batch' AS kind, batch_id AS name, rules_sha256, target_sha256
FROM batches WHERE is_current
UNION ALL
SELECT 'outcomes', drop_id, rules_sha256, ''
FROM (SELECT DISTINCT ON (drop_id) drop_id, rules_sha256
      FROM outcome_drops ORDER BY drop_id, revision DESC) AS last
ORDER BY kind, name
