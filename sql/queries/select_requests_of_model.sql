-- Return the retraining requests since a model was fitted, the oldest first.
SELECT requested_at, batch_id, cause, verdict, reason
FROM retrain_requests
WHERE requested_at >= %(since)s
ORDER BY request_id
