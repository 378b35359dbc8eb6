-- Return the row counts of each outcomes file, from its newest revision, and whether the file counts.
SELECT DISTINCT ON (d.drop_id) d.drop_id, d.received, d.accepted, d.quarantined, f.state
FROM outcome_drops AS d
LEFT JOIN outcome_files AS f USING (drop_id, revision)
ORDER BY d.drop_id, d.revision DESC
