-- Return the files of a revision in the order in which they were read, with their quarantined rows.
SELECT file, first_line, records, sha256,
       (SELECT count(*) FROM quarantine AS q
        WHERE q.batch_id = f.batch_id AND q.revision = f.revision
          AND q.line_number >= f.first_line
          AND q.line_number < coalesce(f.next_line, q.line_number + 1)) AS quarantined
FROM (
    SELECT b.*, lead(b.first_line) OVER (ORDER BY b.first_line) AS next_line
    FROM batch_files AS b
    WHERE b.batch_id = %(batch_id)s AND b.revision = %(revision)s
) AS f
ORDER BY first_line
