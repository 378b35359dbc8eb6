-- Record that every page of a scanned file was looked at.
INSERT INTO scan_files (batch_id, sha256, form_code, pages)
VALUES (%(batch_id)s, %(sha256)s, %(form_code)s, %(pages)s)
ON CONFLICT DO NOTHING
