-- Return the findings about the landing folder that a person has closed, and the dates whose failed ingest
-- has an alert that is open or that a person has closed.
SELECT a.subject AS finding, jsonb_array_elements_text(a.evidence -> 'subjects') AS subject
FROM alerts AS a
WHERE a.kind = 'landing' AND a.state = 'resolved' AND a.changed_by <> 'reconcile'
UNION
SELECT 'missing', batch_id
FROM alerts
WHERE kind = 'failure' AND subject = 'ingest' AND (state <> 'resolved' OR changed_by <> 'notify')
