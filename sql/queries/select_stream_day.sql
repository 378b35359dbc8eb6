-- Return the open or sealed day of a stream with its run: the newest revision that was not withdrawn.
SELECT b.batch_id, b.revision, b.state AS batch_state, b.kind, b.sealed_at, b.is_current, b.received,
       b.accepted, b.quarantined, r.scoring_run_id, r.policy, r.lookup_delivery_id
FROM batches AS b
LEFT JOIN scoring_runs AS r
    ON b.kind = 'stream' AND r.batch_id = b.batch_id AND r.revision = b.revision
    AND r.scoring_run_id LIKE b.batch_id || '-r' || b.revision || '-stream-%%'
WHERE b.batch_id = %(batch_id)s AND b.withdrawn_at IS NULL AND b.state <> 'refused'
ORDER BY b.revision DESC
LIMIT 1
