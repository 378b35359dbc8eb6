-- Return for each batch the hashes of the bytes from which it was taken: those of the revision that was
-- published last, and those of newer revisions.
SELECT batch_id, array_remove(array_agg(sha256) || array_agg(origin_sha256), NULL) AS hashes
FROM batches AS b
WHERE revision >= coalesce((
    SELECT max(p.revision) FROM batches AS p
    WHERE p.batch_id = b.batch_id AND p.state = 'published'
), 0)
GROUP BY batch_id
