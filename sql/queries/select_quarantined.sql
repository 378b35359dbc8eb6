-- Return the refused rows of a revision as they were received.
SELECT line_number, raw_text, rules
FROM quarantine
WHERE batch_id = %(batch_id)s AND revision = %(revision)s
ORDER BY line_number
