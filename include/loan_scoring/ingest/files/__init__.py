"""Open landed files of any kind as one table: header, hash, blocks of rows."""
