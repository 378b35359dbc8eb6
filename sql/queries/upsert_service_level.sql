-- Store the contract's service level.
INSERT INTO service_levels (scored_within_minutes, nights_on_time)
VALUES (%(scored_within_minutes)s, %(nights_on_time)s)
ON CONFLICT (is_only) DO UPDATE SET
    scored_within_minutes = excluded.scored_within_minutes,
    nights_on_time = excluded.nights_on_time,
    changed_at = now()
