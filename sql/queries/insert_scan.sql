-- Record what was read on a page of a scanned file.
INSERT INTO scans (batch_id, file_name, sha256, page, form_code, state, reason, loan_id, fields, doubtful, quality)
VALUES (%(batch_id)s, %(file_name)s, %(sha256)s, %(page)s, %(form_code)s, %(state)s, %(reason)s, %(loan_id)s,
        %(fields)s, %(doubtful)s, %(quality)s)
RETURNING scan_id
