-- Empty the queue of a batch. It may have the rows of an earlier scoring run.
WITH listed AS (
    DELETE FROM desk_queues WHERE batch_id = %(batch_id)s RETURNING scoring_run_id
)
DELETE FROM desk_queue
WHERE scoring_run_id = ANY (ARRAY(SELECT scoring_run_id FROM listed
                                 UNION SELECT %(scoring_run_id)s))
