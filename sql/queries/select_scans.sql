-- Return the pages of a batch, of each the last reading.
SELECT DISTINCT ON (file_name, page)
       scan_id, batch_id, file_name, sha256, page, form_code, state, reason, loan_id, fields, doubtful, quality, read_at
FROM scans
WHERE batch_id = %(batch_id)s
ORDER BY file_name, page, scan_id DESC
