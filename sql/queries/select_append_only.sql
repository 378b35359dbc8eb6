-- Return the triggers that keep rows from being changed.
SELECT t.tgrelid::regclass::text AS "table", t.tgname AS "trigger"
FROM pg_trigger AS t
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE c.relnamespace = current_schema()::regnamespace AND p.proname = 'refuse_change'
  AND t.tgparentid = 0 AND t.tgenabled = 'O'
ORDER BY 1, 2
