-- Return the retraining requests that drift caused, including withheld requests with the reason, in the
-- order of time.
SELECT batch_id, cause, verdict, reason
FROM retrain_requests
WHERE cause IS NOT NULL
ORDER BY request_id
