-- Return the service level by which the views of SQL judge.
SELECT scored_within_minutes, nights_on_time FROM service_levels
