-- Return the comments on a table (column_name is null) and on its columns.
SELECT a.attname AS column_name, d.description
FROM pg_description AS d
LEFT JOIN pg_attribute AS a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
WHERE d.objoid = %(table)s::regclass AND d.classoid = 'pg_class'::regclass
