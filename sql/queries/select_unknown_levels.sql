-- Return the quarantined rows of a revision that have an unknown level in one of some columns.
SELECT raw_text, rules
FROM quarantine
WHERE batch_id = %(batch_id)s AND revision = %(revision)s AND rules && %(rules)s
