-- Return the audit entries that name a loan.
SELECT entry_id, recorded_at, done_by, action, subject, details
FROM audit_log
WHERE subject ~* %(pattern)s OR details::text ~* %(pattern)s
ORDER BY entry_id
