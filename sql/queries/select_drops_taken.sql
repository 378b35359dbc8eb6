-- Return the files of outcomes that were taken in.
SELECT DISTINCT drop_id FROM outcome_drops WHERE drop_id = ANY(%(drop_ids)s)
