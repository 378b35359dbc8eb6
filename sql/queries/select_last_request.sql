-- The last batch before this one for whose drift new models were asked for.
SELECT max(batch_id) AS batch_id FROM retrain_requests
WHERE verdict = 'asked' AND cause IS NOT NULL AND batch_id < %(batch_id)s
