-- Record that the queue of a scoring run is written, with its counts by decision, persona and first reason.
WITH counted AS (
    SELECT CASE grouping(decision, persona, coalesce(reasons[1], exclusion_reason))
               WHEN 3 THEN 'decision' WHEN 5 THEN 'persona' ELSE 'reason' END AS kind,
           coalesce(decision, persona, coalesce(reasons[1], exclusion_reason)) AS value,
           count(*) AS applications
    FROM desk_queue
    WHERE scoring_run_id = %(scoring_run_id)s
    GROUP BY GROUPING SETS ((decision), (persona), (coalesce(reasons[1], exclusion_reason)))
), listed AS (
    SELECT kind, jsonb_agg(jsonb_build_object('value', value, 'applications', applications)
                           ORDER BY applications DESC, value) AS counts
    FROM counted
    WHERE value IS NOT NULL
    GROUP BY kind
)
INSERT INTO desk_queues (scoring_run_id, batch_id, columns, amount_column, applications, counts)
SELECT %(scoring_run_id)s, %(batch_id)s, %(columns)s::text[], %(amount_column)s, %(applications)s,
       coalesce((SELECT jsonb_object_agg(kind, counts) FROM listed), '{}')
