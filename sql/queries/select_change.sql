-- The first batch of what has changed and still lasts: other applicants, other defaults.
SELECT min(batch_id) AS since FROM alerts
WHERE kind IN ('population', 'concept') AND state <> 'resolved'
