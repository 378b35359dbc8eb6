-- Open the day of a stream: a revision to which rows are added until the day is sealed.
INSERT INTO batches
    (batch_id, revision, source, sha256, state, received, accepted, quarantined, header, delimiter,
     rules_sha256, target_sha256, kind)
SELECT %(batch_id)s, coalesce(max(revision), 0) + 1, %(source)s, 'open', 'landed', 0, 0, 0,
       %(header)s, ',', %(rules_sha256)s, '', 'stream'
FROM batches
WHERE batch_id = %(batch_id)s
RETURNING revision
