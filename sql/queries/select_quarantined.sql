-- Return the quarantined rows of a revision, with the text as it was received.
SELECT line_number, raw_text, rules
FROM quarantine
WHERE batch_id = %(batch_id)s AND revision = %(revision)s
ORDER BY line_number
