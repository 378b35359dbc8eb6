-- Return the dates with pages that were read or corrected in the last days.
SELECT DISTINCT s.batch_id
FROM scans AS s
LEFT JOIN scan_corrections AS c USING (scan_id)
WHERE s.state <> 'refused'
  AND greatest(s.read_at, c.corrected_at) > now() - %(days)s * interval '1 day'
