-- Carry the refused rows that nobody corrected from a revision to the one that corrects it.
INSERT INTO quarantine (batch_id, revision, line_number, raw_text, rules)
SELECT batch_id, %(revision)s, line_number, raw_text, rules
FROM quarantine
WHERE batch_id = %(batch_id)s AND revision = %(corrects_revision)s
  AND NOT line_number = ANY(%(line_numbers)s::bigint[])
