-- Return the months whose applications were dropped.
SELECT month FROM dropped_partitions WHERE table_name = 'applications' ORDER BY month
