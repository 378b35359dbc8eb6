-- Return the last entry of the audit log.
SELECT entry_id, recorded_at, hash FROM audit_log ORDER BY entry_id DESC LIMIT 1
