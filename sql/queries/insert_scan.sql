-- Record what was read on a page of a scanned file, unless it was read meanwhile. Refused pages are read again.
INSERT INTO scans (batch_id, file_name, sha256, page, form_code, state, reason, loan_id, fields, doubtful, quality,
                   page_kind, form_score, classified_by)
SELECT %(batch_id)s, %(file_name)s, %(sha256)s, %(page)s, %(form_code)s, %(state)s, %(reason)s, %(loan_id)s,
       %(fields)s, %(doubtful)s, %(quality)s, %(page_kind)s, %(form_score)s, %(classified_by)s
WHERE %(is_gone)s OR coalesce((
    SELECT s.state FROM scans AS s
    WHERE s.batch_id = %(batch_id)s AND s.file_name = %(file_name)s AND s.sha256 = %(sha256)s
      AND s.page = %(page)s
    ORDER BY s.scan_id DESC LIMIT 1), 'refused') = 'refused'
