-- Return the tables with a column that names a loan. Partitions are left out.
SELECT c.relname AS "table", a.attname AS "column"
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
  AND a.atttypid = 'loan_key'::regtype
ORDER BY 1, 2
