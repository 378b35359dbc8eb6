-- Return what persons corrected on the scanned pages of a loan.
SELECT c.*
FROM scan_corrections AS c
JOIN scans AS s USING (scan_id)
WHERE s.loan_id = %(loan_id)s::loan_key
ORDER BY c.correction_id
