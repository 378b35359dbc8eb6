"""Read CSV and Parquet files, local or remote, as a table: header, SHA-256, blocks of rows."""
