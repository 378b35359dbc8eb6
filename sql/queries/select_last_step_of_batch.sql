-- Return when a person last decided, or undid, on a loan of a batch.
SELECT decided_at
FROM approvals
WHERE batch_id = %(batch_id)s
ORDER BY approval_id DESC
LIMIT 1
