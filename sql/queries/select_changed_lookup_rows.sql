-- Return rows of a file that differ from another row with the same key and the same known_at: from a
-- row of the file, or, where `is_dated`, from a row of an earlier delivery that was read by the same
-- rules.
WITH landed AS (
    SELECT _key, _known_at, _line,
        to_jsonb(l) - ARRAY['_key', '_known_at', '_line'] AS "values"
    FROM landed_lookup AS l
), compared AS (
    SELECT l._key, l._known_at, l._line,
        first_value(l.values) OVER same <> l.values AS differs_in_file,
        %(is_dated)s AND EXISTS (
            SELECT FROM lookup_rows AS r JOIN lookup_deliveries AS d USING (delivery_id)
            WHERE r.lookup = %(lookup)s AND r.key = l._key AND r.known_at = l._known_at
              AND d.rules_sha256 = %(rules_sha256)s AND r.values <> l.values
        ) AS differs_from_known
    FROM landed AS l
    WINDOW same AS (PARTITION BY l._key, l._known_at ORDER BY l._line)
)
SELECT _key AS key, _known_at AS known_at, _line AS line_number, differs_in_file, count(*) OVER () AS rows
FROM compared
WHERE differs_in_file OR differs_from_known
ORDER BY _line
LIMIT 1
