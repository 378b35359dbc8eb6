-- What SQL takes for the contract's service level.
SELECT scored_within_minutes, nights_on_time FROM service_levels
