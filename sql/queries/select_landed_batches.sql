-- Return for each batch the hashes of the bytes from which it was taken, and the names of its files:
-- those of the revision that was published last, and those of newer revisions.
SELECT b.batch_id,
       array_remove(array_agg(b.sha256) || array_agg(b.origin_sha256) || array_agg(f.sha256), NULL)
           AS hashes,
       array_remove(array_agg(f.file), NULL) AS files
FROM batches AS b
LEFT JOIN batch_files AS f USING (batch_id, revision)
WHERE b.revision >= coalesce((
    SELECT max(p.revision) FROM batches AS p
    WHERE p.batch_id = b.batch_id AND p.state = 'published'
), 0)
GROUP BY b.batch_id
