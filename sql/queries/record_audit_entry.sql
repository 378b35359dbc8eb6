-- Append an entry to the audit log. The database sets the entry's number, time, role and hashes.
SELECT entry_id, recorded_at, hash
FROM record_audit_entry(%(done_by)s, %(action)s, %(subject)s, %(details)s)
