-- Delete the comparison of a night, before it is written again.
DELETE FROM shadow_nights
WHERE propensity_version = %(propensity_version)s AND batch_id = %(batch_id)s
