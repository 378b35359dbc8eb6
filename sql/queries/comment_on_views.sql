-- Copy the comments of table columns to the columns of our views that show the same data. A view of a view is
-- reached in the next round.
DO $$
DECLARE
    each record;
BEGIN
    FOR round IN 1..3 LOOP
    FOR each IN
        SELECT DISTINCT ON (v.attrelid, v.attnum)
            v.attrelid::regclass AS relation, v.attname AS name, d.description AS told
        FROM pg_class AS c
        JOIN pg_attribute AS v ON v.attrelid = c.oid AND v.attnum > 0
        JOIN pg_rewrite AS w ON w.ev_class = c.oid
        JOIN pg_depend AS p ON p.objid = w.oid AND p.refclassid = 'pg_class'::regclass
        JOIN pg_attribute AS t
            ON t.attrelid = p.refobjid AND t.attrelid <> c.oid AND t.attname = v.attname
        JOIN pg_description AS d
            ON d.objoid = t.attrelid AND d.objsubid = t.attnum
           AND d.classoid = 'pg_class'::regclass
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'v'
          AND pg_has_role(c.relowner, 'USAGE')
          AND col_description(v.attrelid, v.attnum) IS DISTINCT FROM d.description
          AND (col_description(v.attrelid, v.attnum) IS NULL OR c.relname = 'current_applications')
        ORDER BY v.attrelid, v.attnum, t.attrelid
    LOOP
        EXECUTE 'COMMENT ON COLUMN ' || each.relation || '.' || quote_ident(each.name)
             || ' IS ' || quote_literal(each.told);
    END LOOP;
    EXIT WHEN NOT FOUND;
    END LOOP;
END $$
