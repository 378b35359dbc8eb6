-- Record for a correction the files of the revision that it corrects.
INSERT INTO batch_files (batch_id, revision, file, first_line, records, sha256)
SELECT batch_id, %(revision)s, file, first_line, records, sha256
FROM batch_files
WHERE batch_id = %(batch_id)s AND revision = %(corrects_revision)s
