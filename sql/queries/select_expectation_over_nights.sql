-- Return the verdicts on one expectation, of the current revision of each night, the newest first.
SELECT b.batch_id, b.revision, q.severity, q.is_success, q.observed, q.observed_text,
       q.unexpected_count, q.limits, b.accepted, b.received
FROM batches AS b
JOIN quality AS q USING (batch_id, revision)
WHERE b.is_current AND b.batch_id <> 'history' AND q.expectation = %(expectation)s
  AND (%(since)s::text IS NULL OR b.batch_id >= %(since)s)
  AND (%(until)s::text IS NULL OR b.batch_id <= %(until)s)
ORDER BY b.batch_id DESC
LIMIT %(nights)s
