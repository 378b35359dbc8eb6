-- End the shadow of a challenger.
UPDATE shadows
SET ended_as = %(ended_as)s, reason = %(reason)s, ended_at = clock_timestamp()
WHERE ended_at IS NULL AND propensity_version = %(propensity_version)s
