-- Return the last delivery of a look-up, if it had these bytes and was read by these rules.
SELECT * FROM (
    SELECT * FROM lookup_deliveries WHERE lookup = %(lookup)s ORDER BY delivery_id DESC LIMIT 1
) AS last
WHERE sha256 = %(sha256)s AND rules_sha256 = %(rules_sha256)s
