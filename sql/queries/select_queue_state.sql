-- Return the columns with which the queue of a scoring run was written.
SELECT columns, amount_column FROM desk_queues WHERE scoring_run_id = %(scoring_run_id)s
