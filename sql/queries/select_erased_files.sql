-- Return the files that an erasure rewrote or removed.
SELECT path, old_sha256, new_sha256 FROM erased_files WHERE erasure_id = %(erasure_id)s ORDER BY path
