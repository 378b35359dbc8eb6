-- Return the pages of a batch, of each the last reading. Pages of a file that was replaced do not count.
SELECT DISTINCT ON (s.file_name, s.page)
       scan_id, batch_id, file_name, sha256, page, form_code, state, reason, loan_id, fields, doubtful, quality, read_at
FROM scans AS s
JOIN LATERAL (
    SELECT sha256 FROM scans AS l
    WHERE l.batch_id = s.batch_id AND l.file_name = s.file_name
    ORDER BY l.scan_id DESC LIMIT 1
) AS last USING (sha256)
WHERE s.batch_id = %(batch_id)s
ORDER BY s.file_name, s.page, s.scan_id DESC
