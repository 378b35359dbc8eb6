-- Return the monthly partitions of applications, scores and calls, the oldest first.
SELECT p.relname AS table_name, c.relname AS partition, replace(right(c.relname, 7), '_', '-') AS month,
       pg_total_relation_size(c.oid) AS bytes
FROM pg_inherits AS i
JOIN pg_class AS p ON p.oid = i.inhparent AND p.relkind = 'p'
JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE p.relnamespace = current_schema()::regnamespace AND c.relname ~ '_\d{4}_\d{2}$'
ORDER BY month, p.relname DESC
