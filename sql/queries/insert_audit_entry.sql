-- Append an entry to the audit log. A trigger sets the entry's number, time and hashes.
INSERT INTO audit_log (done_by, action, subject, details)
VALUES (%(done_by)s, %(action)s, %(subject)s, %(details)s)
RETURNING entry_id, recorded_at, hash
