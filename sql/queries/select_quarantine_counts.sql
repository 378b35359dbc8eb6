-- Return how many quarantined rows broke each rule, for each revision of a batch or outcomes file.
SELECT q.batch_id, q.revision,
       coalesce(b.is_current, q.revision = (SELECT max(d.revision) FROM outcome_drops AS d
                                            WHERE d.drop_id = q.batch_id)) AS is_current,
       rule, count(*) AS rows
FROM quarantine AS q
CROSS JOIN unnest(q.rules) AS rule
LEFT JOIN batches AS b USING (batch_id, revision)
WHERE %(batch_id)s::text IS NULL OR q.batch_id = %(batch_id)s
GROUP BY q.batch_id, q.revision, b.is_current, rule
ORDER BY q.batch_id, q.revision, count(*) DESC, rule
