-- Return the columns with free text, in which a sentence may name a loan. Partitions are left out.
SELECT c.relname AS "table", a.attname AS "column", format_type(a.atttypid, NULL) AS "type"
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
  AND a.atttypid IN ('text'::regtype, 'jsonb'::regtype)
  AND c.relname <> ALL (%(left_out)s)
ORDER BY 1, 2
