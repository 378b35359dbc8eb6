-- Return the quarantined rows that may be of a loan: those with its key in their text, and those whose
-- correction became an application of the loan.
SELECT q.batch_id, q.revision, q.line_number, q.raw_text, q.rules, b.header, b.delimiter,
       coalesce(f.file, '') AS file, q.line_number - coalesce(f.first_line, 1) + 1 AS line,
       EXISTS (
           SELECT FROM applications AS a
           JOIN batches AS c ON c.batch_id = a.batch_id AND c.revision = a.revision
           WHERE a.loan_id = %(loan_id)s::loan_key AND a.batch_id = q.batch_id
             AND a.line_number = q.line_number
             AND coalesce(c.origin_sha256, c.sha256) = coalesce(b.origin_sha256, b.sha256)
       ) AS was_corrected
FROM quarantine AS q
LEFT JOIN batches AS b ON b.batch_id = q.batch_id AND b.revision = q.revision
LEFT JOIN LATERAL (
    SELECT file, first_line FROM batch_files AS f
    WHERE f.batch_id = q.batch_id AND f.revision = q.revision AND f.first_line <= q.line_number
    ORDER BY f.first_line DESC LIMIT 1
) AS f ON true
WHERE position(lower(%(text)s) IN lower(q.raw_text)) > 0 OR %(is_made)s OR EXISTS (
    SELECT FROM applications AS a
    WHERE a.loan_id = %(loan_id)s::loan_key AND a.batch_id = q.batch_id
      AND a.line_number = q.line_number
)
