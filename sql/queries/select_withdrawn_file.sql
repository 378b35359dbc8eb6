-- Return the withdrawn revision of a file of outcomes that had the given bytes.
SELECT f.drop_id, f.revision, f.changed_at, f.changed_by, f.comment
FROM outcome_files AS f
JOIN outcome_drops AS d USING (drop_id, revision)
WHERE f.drop_id = %(drop_id)s AND d.sha256 = %(sha256)s AND f.state = 'withdrawn'
ORDER BY f.revision DESC
LIMIT 1
