-- Keep the hash of a file in the landing folder.
INSERT INTO landing_files (kind, name, bytes, modified_ns, sha256)
VALUES (%(kind)s, %(file)s, %(bytes)s, %(modified_ns)s, %(sha256)s)
ON CONFLICT (kind, name) DO UPDATE SET
    bytes = excluded.bytes, modified_ns = excluded.modified_ns, sha256 = excluded.sha256
