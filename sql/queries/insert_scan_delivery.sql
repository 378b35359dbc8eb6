-- Record a file of applications that is about to be written from scanned pages.
INSERT INTO scan_deliveries (batch_id, file_name, sha256, rows, landed_by)
VALUES (%(batch_id)s, %(file_name)s, %(sha256)s, %(rows)s, %(landed_by)s)
