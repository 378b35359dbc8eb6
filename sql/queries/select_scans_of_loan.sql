-- Return the scanned files with a page of a loan, and the pages.
SELECT batch_id, file_name, array_agg(DISTINCT page ORDER BY page) AS pages
FROM scans
WHERE loan_id = %(loan_id)s::loan_key
GROUP BY batch_id, file_name
ORDER BY batch_id, file_name
