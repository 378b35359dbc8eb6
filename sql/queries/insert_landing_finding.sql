-- Insert a finding about the landing folder. A finding that is known keeps its time.
INSERT INTO landing_findings (finding, subject, batch_id, message)
VALUES (%(finding)s, %(subject)s, %(batch_id)s, %(message)s)
ON CONFLICT (finding, subject) DO NOTHING
