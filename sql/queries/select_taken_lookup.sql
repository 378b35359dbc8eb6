-- Return the last delivery of a look-up that had these bytes and was read by these rules, and whether
-- the look-up had no delivery since.
SELECT d.*, NOT EXISTS (
    SELECT FROM lookup_deliveries AS later
    WHERE later.lookup = d.lookup AND later.delivery_id > d.delivery_id
) AS is_last
FROM lookup_deliveries AS d
WHERE d.lookup = %(lookup)s AND d.sha256 = %(sha256)s AND d.rules_sha256 = %(rules_sha256)s
ORDER BY d.delivery_id DESC
LIMIT 1
