-- Return how often each rule was broken in a batch revision, the most frequent rule first.
SELECT rule, count(*) AS rows
FROM quarantine, unnest(rules) AS rule
WHERE batch_id = %(batch_id)s AND revision = %(revision)s
GROUP BY rule
ORDER BY count(*) DESC, rule
