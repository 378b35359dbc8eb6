-- Record that retention dropped a monthly partition of a table. This runs in the same transaction as the
-- drop, so that every drop is recorded.
INSERT INTO dropped_partitions (partition, table_name, month, rows, bytes, quarantined, keep_days, dropped_by)
VALUES (%(partition)s, %(table_name)s, %(month)s, %(rows)s, %(bytes)s, %(quarantined)s, %(keep_days)s, %(dropped_by)s)
