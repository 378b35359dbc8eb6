-- An alert has a person who works on it. Pages read the history of an alert, and the story of a portfolio,
-- from the audit log.
ALTER TABLE alerts ADD COLUMN assignee text CHECK (assignee <> '');
COMMENT ON COLUMN alerts.assignee IS 'Person who works on it, such as airflow:ann; null where nobody was assigned. The audit log says who assigned whom';
CREATE INDEX audit_log_by_subject ON audit_log (subject, entry_id);
CREATE INDEX audit_log_by_action ON audit_log (action, recorded_at);
