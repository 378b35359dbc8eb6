-- Record a delivery of a look-up, and return its number.
INSERT INTO lookup_deliveries
    (lookup, source, sha256, rules_sha256, received, added, unchanged, left_out, refused,
     delivered_by)
VALUES
    (%(lookup)s, %(source)s, %(sha256)s, %(rules_sha256)s, %(received)s, %(added)s, %(unchanged)s,
     %(left_out)s, %(refused)s, %(delivered_by)s)
RETURNING delivery_id
