-- Return one scanned page.
SELECT scan_id, batch_id, file_name, sha256, page, form_code, state, reason, loan_id, fields, doubtful, quality, read_at
FROM scans
WHERE scan_id = %(scan_id)s
