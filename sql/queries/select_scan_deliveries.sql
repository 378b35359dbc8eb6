-- Return the hashes of the files that were written from the scanned pages of a batch, also without an erased loan.
SELECT sha256 FROM scan_deliveries WHERE batch_id = %(batch_id)s
UNION
SELECT e.new_sha256
FROM erased_files AS e
JOIN scan_deliveries AS d ON d.sha256 = e.old_sha256
WHERE d.batch_id = %(batch_id)s AND e.new_sha256 IS NOT NULL
