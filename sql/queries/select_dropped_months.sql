-- Return the months whose applications retention has dropped.
SELECT month FROM dropped_partitions WHERE table_name = 'applications' ORDER BY month
