-- Add the landed rows of a look-up.
INSERT INTO lookup_rows (lookup, key, known_at, delivery_id, "values")
SELECT %(lookup)s, l._key, l._known_at, %(delivery_id)s,
    to_jsonb(l) - ARRAY['_key', '_known_at', '_line']
FROM landed_lookup AS l
