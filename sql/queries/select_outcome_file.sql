-- Return a revision of a file of outcomes, by default the newest one, and whether it counts.
SELECT drop_id, revision, state, changed_at, changed_by, comment,
       (SELECT accepted FROM outcome_drops AS d
        WHERE d.drop_id = f.drop_id AND d.revision = f.revision) AS accepted
FROM outcome_files AS f
WHERE drop_id = %(drop_id)s AND (%(revision)s::int IS NULL OR revision = %(revision)s)
ORDER BY revision DESC
LIMIT 1
