-- Return the last overrides of people, with their reasons: of a batch, or of the last days.
SELECT loan_id, batch_id, decided_at, decided_by, decision, override, default_probability, comment
FROM reviews
WHERE override IN ('up', 'down')
  AND (%(batch_id)s::text IS NULL OR batch_id = %(batch_id)s)
  AND (%(days)s::integer IS NULL OR decided_at >= now() - make_interval(days => %(days)s))
ORDER BY decided_at DESC, loan_id
LIMIT %(limit)s
