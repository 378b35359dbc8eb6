-- Return the row counts of each outcomes file, from its newest revision, how many rows broke each rule,
-- and whether the file counts.
SELECT DISTINCT ON (d.drop_id) d.drop_id, d.revision, d.received, d.accepted, d.repeated, d.open,
       d.quarantined, d.landed_at, f.state,
       (SELECT json_object_agg(b.rule, b.rows ORDER BY b.rows DESC, b.rule)
        FROM (SELECT rule, count(*) AS rows
              FROM quarantine AS q, unnest(q.rules) AS rule
              WHERE q.batch_id = d.drop_id AND q.revision = d.revision
              GROUP BY rule) AS b) AS rules
FROM outcome_drops AS d
LEFT JOIN outcome_files AS f USING (drop_id, revision)
ORDER BY d.drop_id, d.revision DESC
