-- Return the retraining requests of drift, and why each was withheld, in the order of time.
SELECT batch_id, cause, verdict, reason
FROM retrain_requests
WHERE cause IS NOT NULL
ORDER BY request_id
