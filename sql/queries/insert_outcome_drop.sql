-- Record a file of outcomes in the ledger.
INSERT INTO outcome_drops (drop_id, revision, source, sha256, received, accepted, quarantined)
VALUES (%(drop_id)s, %(revision)s, %(source)s, %(sha256)s, 0, 0, 0)
