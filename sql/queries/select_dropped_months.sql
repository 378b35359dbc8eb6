-- The months of which applications are gone.
SELECT month FROM dropped_partitions WHERE table_name = 'applications' ORDER BY month
