-- Return the service level that the SQL views use.
SELECT scored_within_minutes, nights_on_time FROM service_levels
