-- Return the first batch of a change that still lasts: other applicants, other defaults.
SELECT min(batch_id) AS since FROM alerts
WHERE kind IN ('population', 'concept') AND state <> 'resolved'
