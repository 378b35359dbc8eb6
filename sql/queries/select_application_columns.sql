-- Return the columns of table applications that the contract declares, with their Postgres types, and
-- whether the column holds a stored feature.
SELECT column_name AS name, data_type AS type,
    coalesce(
        col_description('applications'::regclass, ordinal_position::int)
        LIKE '%%; feature, computed at ingest as %%',
        false
    ) AS is_feature
FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = 'applications'
  AND column_name NOT IN ('batch_id', 'revision', 'line_number', 'loan_id')
