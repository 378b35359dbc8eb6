-- Return the files of scans that were written last and that no revision of their batch was made of.
SELECT d.batch_id, d.file_name, d.sha256
FROM (
    SELECT DISTINCT ON (batch_id) * FROM scan_deliveries ORDER BY batch_id, delivery_id DESC
) AS d
WHERE d.batch_id = ANY (%(batch_ids)s)
  AND NOT EXISTS (
      SELECT FROM batches AS b WHERE b.batch_id = d.batch_id AND d.sha256 IN (b.sha256, b.origin_sha256))
  AND NOT EXISTS (
      SELECT FROM batch_files AS f WHERE f.batch_id = d.batch_id AND f.sha256 = d.sha256)
ORDER BY d.batch_id
