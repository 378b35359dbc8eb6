-- Return the audit entries with a smaller number than the given one, the latest first.
SELECT entry_id, recorded_at, done_by, database_role, action, subject, details, hash
FROM audit_log
WHERE entry_id < coalesce(%(before)s, 9223372036854775807)
ORDER BY entry_id DESC
LIMIT %(limit)s
