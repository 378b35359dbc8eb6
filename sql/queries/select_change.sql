-- Return the first batch of a change of applicants or of defaults that still lasts. The change lasts
-- until its alert is resolved.
SELECT min(batch_id) AS since FROM alerts
WHERE kind IN ('population', 'concept') AND state <> 'resolved'
