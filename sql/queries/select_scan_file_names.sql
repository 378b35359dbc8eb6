-- Return the names of all scanned files that are recorded, by date.
SELECT DISTINCT batch_id, file_name FROM scans
