-- Count what an open or sealed day holds in each table. The hash is that of all its messages.
SELECT
    (SELECT count(*) FROM stream_messages AS m
     WHERE m.batch_id = b.batch_id AND m.revision = b.revision) AS messages,
    (SELECT count(*) FROM applications AS a
     WHERE a.batch_id = b.batch_id AND a.revision = b.revision) AS applications,
    (SELECT count(*) FROM quarantine AS q
     WHERE q.batch_id = b.batch_id AND q.revision = b.revision) AS in_quarantine,
    (SELECT count(*) FROM scores AS s
     WHERE s.batch_id = b.batch_id AND s.scoring_run_id = %(scoring_run_id)s) AS scores,
    (SELECT encode(sha256(coalesce(string_agg(m.message_id || ' ' || m.body_sha256, E'\n'
                                              ORDER BY m.message_id COLLATE "C"), '')::bytea), 'hex')
     FROM stream_messages AS m
     WHERE m.batch_id = b.batch_id AND m.revision = b.revision) AS sha256
FROM batches AS b
WHERE b.batch_id = %(batch_id)s AND b.revision = %(revision)s
