-- Return the pages that wait for a person, the oldest first.
SELECT scan_id, batch_id, file_name, page, loan_id, doubtful, read_at
FROM (
    SELECT DISTINCT ON (batch_id, file_name, page) * FROM scans
    ORDER BY batch_id, file_name, page, scan_id DESC
) AS last
WHERE state = 'waiting'
ORDER BY batch_id, file_name, page
