-- Return what the check of a schema compares: applied steps, columns of applications, service level,
-- rules of the desk.
SELECT
    (SELECT jsonb_object_agg(m.name, m.sha256) FROM schema_migrations AS m) AS steps,
    (SELECT jsonb_object_agg(
                a.attname, jsonb_build_array(
                    format_type(a.atttypid, NULL), col_description(a.attrelid, a.attnum)))
     FROM pg_attribute AS a
     WHERE a.attrelid = 'applications'::regclass AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    (SELECT to_jsonb(s) - ARRAY['is_only', 'changed_at'] FROM service_levels AS s) AS service_level,
    (SELECT to_jsonb(d) - ARRAY['is_only', 'changed_at'] FROM desk_rules AS d) AS desk_rules
