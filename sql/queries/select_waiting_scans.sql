-- Return the pages that wait for a person, or that were refused, the oldest first. Pages of a file that was
-- replaced do not count.
SELECT scan_id, batch_id, file_name, sha256, page, state, reason, page_kind, loan_id, doubtful, read_at
FROM (
    SELECT DISTINCT ON (s.batch_id, s.file_name, s.page) s.*
    FROM scans AS s
    JOIN LATERAL (
        SELECT sha256 FROM scans AS l
        WHERE l.batch_id = s.batch_id AND l.file_name = s.file_name
        ORDER BY l.scan_id DESC LIMIT 1
    ) AS last USING (sha256)
    ORDER BY s.batch_id, s.file_name, s.page, s.scan_id DESC
) AS last
WHERE state = %(state)s
ORDER BY batch_id, file_name, page
