-- Return the changes of a portfolio's models: fits, verdicts, signatures and changed columns, the oldest
-- first.
SELECT created_at AS happened_at, 'fitted' AS change, model_version AS subject,
       coalesce(training_data ->> 'triggered_by', 'no person on record') AS by,
       algorithm || ', loan-scoring ' || code_version AS text
FROM models
WHERE kind = 'propensity'
UNION ALL
SELECT decided_at, verdict || ' (' || occasion || ')', model_version, decided_by, coalesce(comment, '')
FROM promotions
WHERE kind = 'propensity'
UNION ALL
SELECT recorded_at, action, subject, done_by, coalesce(details ->> 'comment', details ->> 'changed', '')
FROM audit_log
WHERE action LIKE 'model.%%' OR action LIKE 'contract.%%'
ORDER BY happened_at
