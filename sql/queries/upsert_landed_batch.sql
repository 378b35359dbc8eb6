-- Enter a landed revision into the ledger.
INSERT INTO batches
    (batch_id, revision, source, sha256, state, received, accepted, quarantined, ignored_columns)
VALUES
    (%(batch_id)s, %(revision)s, %(source)s, %(sha256)s, 'landed',
     %(received)s, %(accepted)s, %(quarantined)s, %(ignored_columns)s)
ON CONFLICT (batch_id, revision) DO UPDATE SET
    source = excluded.source, sha256 = excluded.sha256, state = excluded.state,
    received = excluded.received, accepted = excluded.accepted,
    quarantined = excluded.quarantined, ignored_columns = excluded.ignored_columns,
    landed_at = now()
