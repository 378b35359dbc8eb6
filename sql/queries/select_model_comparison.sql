-- Return the last comparison in which a model was the challenger, or of two models in either role.
SELECT challenger, champion, compared_at, loans, defaults, cells, grades
FROM model_comparisons
WHERE (challenger = %(version)s AND (%(other)s::text IS NULL OR champion = %(other)s))
   OR (champion = %(version)s AND challenger = %(other)s)
ORDER BY compared_at DESC
LIMIT 1
