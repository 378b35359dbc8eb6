-- Return the months that retention has dropped, by table.
SELECT table_name, month FROM dropped_partitions
