-- Return the pages that were read as forms, the newest first, once each.
SELECT scan_id, batch_id, file_name, sha256, page
FROM (
    SELECT DISTINCT ON (batch_id, file_name, page) *
    FROM scans
    ORDER BY batch_id, file_name, page, scan_id DESC
) AS last
WHERE state IN ('passed', 'waiting', 'corrected')
ORDER BY scan_id DESC
LIMIT %(most)s
