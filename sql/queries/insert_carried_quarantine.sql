-- Copy quarantined rows from a revision to the revision that corrects it, except the rows that were
-- corrected.
INSERT INTO quarantine (batch_id, revision, line_number, raw_text, rules)
SELECT q.batch_id, %(revision)s, q.line_number, q.raw_text, q.rules
FROM quarantine AS q
WHERE q.batch_id = %(batch_id)s AND q.revision = %(corrects_revision)s
  AND NOT EXISTS (
      SELECT FROM applications AS a
      WHERE a.batch_id = q.batch_id AND a.revision = %(revision)s
        AND a.line_number = q.line_number
  )
  AND NOT EXISTS (
      SELECT FROM quarantine AS b
      WHERE b.batch_id = q.batch_id AND b.revision = %(revision)s
        AND b.line_number = q.line_number
  )
