-- Return what persons corrected on a page.
SELECT correction_id, column_name, before, after, corrected_by, corrected_at
FROM scan_corrections
WHERE scan_id = %(scan_id)s
ORDER BY correction_id
