-- Record that a month of a table was dropped; in one transaction with the drop.
INSERT INTO dropped_partitions (partition, table_name, month, rows, bytes, quarantined, keep_days, dropped_by)
VALUES (%(partition)s, %(table_name)s, %(month)s, %(rows)s, %(bytes)s, %(quarantined)s, %(keep_days)s, %(dropped_by)s)
