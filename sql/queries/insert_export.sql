-- Record a Parquet file of a month.
INSERT INTO exports (location, table_name, month, rows, sha256, exported_by)
VALUES (%(location)s, %(table_name)s, %(month)s, %(rows)s, %(sha256)s, %(exported_by)s)
