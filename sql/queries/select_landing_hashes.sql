-- Return the known hashes of the files in the landing folder.
SELECT kind, name, bytes, modified_ns, sha256 FROM landing_files
