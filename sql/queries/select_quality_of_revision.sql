-- Return the verdicts on the expectations of a batch revision, the failed expectations first.
SELECT expectation, severity, column_name, is_success, observed, observed_text, unexpected_count,
       limits
FROM quality
WHERE batch_id = %(batch_id)s AND revision = %(revision)s
ORDER BY is_success, severity, expectation
