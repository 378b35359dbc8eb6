-- Delete the files of a revision that is about to be recorded anew.
DELETE FROM batch_files WHERE batch_id = %(batch_id)s AND revision = %(revision)s
