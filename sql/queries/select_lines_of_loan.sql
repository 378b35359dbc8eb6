-- Return the lines of delivered files from which applications of a loan came, by the hash of the file.
SELECT DISTINCT coalesce(f.sha256, b.origin_sha256, b.sha256) AS sha256,
       a.line_number - coalesce(f.first_line, 1) + 1 AS line
FROM applications AS a
JOIN batches AS b ON b.batch_id = a.batch_id AND b.revision = a.revision
LEFT JOIN LATERAL (
    SELECT sha256, first_line FROM batch_files AS f
    WHERE f.batch_id = a.batch_id AND f.revision = a.revision AND f.first_line <= a.line_number
    ORDER BY f.first_line DESC LIMIT 1
) AS f ON true
WHERE a.loan_id = %(loan_id)s::loan_key
