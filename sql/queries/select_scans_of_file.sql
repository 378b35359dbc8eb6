-- Return what is recorded of the pages of this very file.
SELECT DISTINCT ON (page) page, state, reason
FROM scans
WHERE batch_id = %(batch_id)s AND file_name = %(file_name)s AND sha256 = %(sha256)s
ORDER BY page, scan_id DESC
