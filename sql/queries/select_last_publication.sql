-- Return the last scoring run of a batch revision that readers saw.
SELECT p.scoring_run_id
FROM publications AS p
JOIN scoring_runs AS r USING (scoring_run_id)
WHERE r.batch_id = %(batch_id)s AND r.revision = %(revision)s
ORDER BY p.publication_id DESC
LIMIT 1
