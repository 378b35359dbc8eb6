-- Return what went wrong on record: critical alerts, refused batches, withdrawals and rollbacks, the
-- oldest first.
SELECT raised_at AS happened_at, 'critical alert: ' || kind AS incident, batch_id AS subject,
       changed_by AS by, message AS text, state
FROM alerts
WHERE severity = 'critical'
UNION ALL
SELECT landed_at, 'batch refused', batch_id, source, 'revision ' || revision, 'refused'
FROM batches
WHERE state = 'refused'
UNION ALL
SELECT recorded_at, action, subject, done_by, coalesce(details ->> 'comment', ''), 'on record'
FROM audit_log
WHERE action IN ('batch.withdraw', 'batch.restore', 'outcomes.withdraw', 'outcomes.restore',
                 'outcomes.correct', 'promotion.rollback')
ORDER BY happened_at
