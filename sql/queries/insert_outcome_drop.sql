-- Record a revision of an outcomes file in table `outcome_drops`.
INSERT INTO outcome_drops (drop_id, revision, source, sha256, rules_sha256, received, accepted, quarantined)
VALUES (%(drop_id)s, %(revision)s, %(source)s, %(sha256)s, %(rules_sha256)s, 0, 0, 0)
