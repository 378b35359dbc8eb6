-- Append to the audit log; number, time and hashes are set by its trigger.
INSERT INTO audit_log (done_by, action, subject, details)
VALUES (%(done_by)s, %(action)s, %(subject)s, %(details)s)
RETURNING entry_id, recorded_at, hash
