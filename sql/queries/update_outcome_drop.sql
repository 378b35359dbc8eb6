-- Record how many rows of an outcomes file were received, accepted and quarantined.
UPDATE outcome_drops
SET received = %(received)s, accepted = %(accepted)s, repeated = %(repeated)s, open = %(open)s,
    quarantined = %(quarantined)s
WHERE drop_id = %(drop_id)s AND revision = %(revision)s
