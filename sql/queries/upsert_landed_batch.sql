-- Record a landed revision in table `batches`. If the same file is landed again, the time of landing
-- does not change.
INSERT INTO batches
    (batch_id, revision, source, sha256, state, received, accepted, quarantined, ignored_columns,
     header, delimiter, corrects_revision, origin_sha256, rules_sha256, target_sha256)
VALUES
    (%(batch_id)s, %(revision)s, %(source)s, %(sha256)s, 'landed',
     %(received)s, %(accepted)s, %(quarantined)s, %(ignored_columns)s,
     %(header)s, %(delimiter)s, %(corrects_revision)s, %(origin_sha256)s, %(rules_sha256)s,
     %(target_sha256)s)
ON CONFLICT (batch_id, revision) DO UPDATE SET
    source = excluded.source, sha256 = excluded.sha256, state = excluded.state,
    received = excluded.received, accepted = excluded.accepted,
    quarantined = excluded.quarantined, ignored_columns = excluded.ignored_columns,
    header = excluded.header, delimiter = excluded.delimiter,
    corrects_revision = excluded.corrects_revision, origin_sha256 = excluded.origin_sha256,
    rules_sha256 = excluded.rules_sha256, target_sha256 = excluded.target_sha256
