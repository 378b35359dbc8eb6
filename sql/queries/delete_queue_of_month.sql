-- Empty the queues of the batches of a month whose rows retention drops.
WITH listed AS (
    DELETE FROM desk_queues WHERE left(batch_id, 7) = %(month)s RETURNING scoring_run_id
)
DELETE FROM desk_queue WHERE scoring_run_id IN (SELECT scoring_run_id FROM listed)
