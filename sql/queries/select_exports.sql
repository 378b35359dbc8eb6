-- Return the newest record of each Parquet file of a month.
SELECT DISTINCT ON (location) location, table_name, month, rows, sha256, exported_by, exported_at
FROM exports
ORDER BY location, exported_at DESC
