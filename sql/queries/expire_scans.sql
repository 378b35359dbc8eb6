-- Delete the scanned pages of months that retention has dropped. Their corrections go with them.
WITH months AS (
    SELECT month FROM dropped_partitions WHERE table_name = 'applications'
), files AS (
    DELETE FROM scan_files WHERE left(batch_id, 7) IN (SELECT month FROM months)
)
DELETE FROM scans WHERE left(batch_id, 7) IN (SELECT month FROM months)
