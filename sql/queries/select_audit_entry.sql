-- Return the audit entry that has a given hash.
SELECT entry_id, recorded_at FROM audit_log WHERE hash = %(hash)s
