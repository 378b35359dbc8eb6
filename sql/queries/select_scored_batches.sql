-- Return the last batches that have scores, the latest first, with the applications that wait for a person.
-- `waiting` is null if the queue of the batch was not written yet.
SELECT r.batch_id, r.applications, r.referred, q.applications - coalesce(d.decided, 0) AS waiting
FROM (
    SELECT scoring_run_id, batch_id, applications, referred
    FROM scoring_runs
    WHERE is_current
    ORDER BY batch_id DESC
    LIMIT 60
) AS r
LEFT JOIN desk_queues AS q ON q.scoring_run_id = r.scoring_run_id
LEFT JOIN LATERAL (
    SELECT count(*) AS decided
    FROM desk_states AS s
    WHERE s.batch_id = r.batch_id AND s.scoring_run_id = r.scoring_run_id
      AND s.state = 'decided' AND s.suggestion IN ('review', 'refer')
) AS d ON true
ORDER BY r.batch_id DESC
