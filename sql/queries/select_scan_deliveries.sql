-- Return the files of applications that were written from the scanned pages of a batch.
SELECT file_name, sha256 FROM scan_deliveries WHERE batch_id = %(batch_id)s ORDER BY delivery_id
