-- Delete from the landed rows those that say nothing new: the last row with their key and known_at
-- has the same values, or an earlier line of the file has them.
DELETE FROM landed_lookup AS l
WHERE EXISTS (
    SELECT FROM landed_lookup AS earlier
    WHERE earlier._key = l._key AND earlier._known_at = l._known_at
      AND earlier._line < l._line
) OR to_jsonb(l) - ARRAY['_key', '_known_at', '_line'] = (
    SELECT r.values FROM lookup_rows AS r
    WHERE r.lookup = %(lookup)s AND r.key = l._key AND r.known_at = l._known_at
    ORDER BY r.delivery_id DESC
    LIMIT 1
)
