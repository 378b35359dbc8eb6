-- Record one file from which a revision landed.
INSERT INTO batch_files (batch_id, revision, file, first_line, records, sha256)
VALUES (%(batch_id)s, %(revision)s, %(file)s, %(first_line)s, %(records)s, %(sha256)s)
