-- Note that a file is about to be rewritten, or removed, because it held an erased loan.
INSERT INTO erased_files (erasure_id, path, old_sha256, new_sha256)
VALUES (%(erasure_id)s, %(path)s, %(old_sha256)s, %(new_sha256)s)
ON CONFLICT (erasure_id, path, old_sha256) DO UPDATE SET new_sha256 = excluded.new_sha256
