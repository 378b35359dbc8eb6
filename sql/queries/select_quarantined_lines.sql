-- Return lines and broken rules of quarantined rows of a batch revision, without their text.
SELECT line_number, rules, count(*) OVER () AS found
FROM quarantine
WHERE batch_id = %(batch_id)s AND revision = %(revision)s
  AND (%(rule)s::text IS NULL OR %(rule)s = ANY (rules))
ORDER BY line_number
LIMIT %(rows)s
