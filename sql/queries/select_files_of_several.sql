-- Return the files of revisions that landed from several files, with the hash of all of them.
SELECT b.batch_id, b.revision, b.sha256, b.origin_sha256,
       jsonb_agg(jsonb_build_array(f.file, f.sha256) ORDER BY f.first_line) AS files
FROM batches AS b
JOIN batch_files AS f ON f.batch_id = b.batch_id AND f.revision = b.revision
GROUP BY b.batch_id, b.revision, b.sha256, b.origin_sha256
HAVING count(*) > 1 AND bool_or(f.sha256 = ANY (%(hashes)s))
