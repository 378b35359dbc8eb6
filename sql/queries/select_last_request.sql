-- Return the last retraining request for drift. If this batch has requested retraining for this cause,
-- return the last request before that one.
-- The night of a request is the batch that was scored last at that time, because outcomes can cause a
-- request for a much older batch.
SELECT r.batch_id, n.night, n.tonight::date - n.night::date AS nights_ago
FROM retrain_requests AS r
CROSS JOIN LATERAL (
    SELECT greatest(r.batch_id, max(s.batch_id) FILTER (WHERE s.published_at <= r.requested_at))
               AS night,
           max(s.batch_id) AS tonight
    FROM scoring_runs AS s
    WHERE s.state = 'published'
) AS n
WHERE r.verdict = 'asked' AND r.cause IS NOT NULL
  AND NOT EXISTS (SELECT FROM retrain_requests AS own
                  WHERE own.verdict = 'asked' AND own.batch_id = %(batch_id)s
                    AND own.cause = %(cause)s AND own.request_id <= r.request_id)
ORDER BY r.request_id DESC
LIMIT 1
