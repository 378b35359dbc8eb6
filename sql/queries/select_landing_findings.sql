-- Return where the landing folder and the tables differ, in the order of the dates.
SELECT finding, subject, batch_id, message, found_at::text
FROM landing_findings
ORDER BY batch_id NULLS LAST, finding, subject
