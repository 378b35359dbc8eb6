-- Return the hashes of the scanned files of a batch that this form was looked for in.
SELECT sha256 FROM scan_files WHERE batch_id = %(batch_id)s AND form_code = %(form_code)s
