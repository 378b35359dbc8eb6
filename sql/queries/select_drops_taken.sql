-- Return which of the given outcomes files were already ingested.
SELECT DISTINCT drop_id FROM outcome_drops WHERE drop_id = ANY(%(drop_ids)s)
