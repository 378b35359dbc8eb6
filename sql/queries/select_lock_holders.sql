-- Return the processes that hold a lock on a table or view of the schema, the longest work first.
SELECT a.pid, a.usename AS role, coalesce(nullif(a.application_name, ''), 'no name') AS program
FROM pg_stat_activity AS a
WHERE a.pid <> pg_backend_pid()
  AND a.pid IN (SELECT l.pid
                FROM pg_locks AS l
                JOIN pg_class AS c ON c.oid = l.relation
                WHERE c.relnamespace = current_schema()::regnamespace AND l.granted
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
ORDER BY a.xact_start NULLS LAST
LIMIT 3
