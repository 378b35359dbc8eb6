-- What drift has asked for, or why it was withheld, in the order of asking.
SELECT batch_id, cause, verdict, reason
FROM retrain_requests
WHERE cause IS NOT NULL
ORDER BY request_id
