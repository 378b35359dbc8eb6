-- Record a retraining request, or record that the request was withheld and why. A batch can request
-- retraining only once for a cause, and each reason of a batch is recorded only once.
INSERT INTO retrain_requests (batch_id, cause, verdict, reason)
SELECT %(batch_id)s, %(cause)s, %(verdict)s, %(reason)s
WHERE NOT EXISTS (SELECT FROM retrain_requests
                  WHERE verdict = 'asked' AND verdict = %(verdict)s
                    AND batch_id = %(batch_id)s AND cause = %(cause)s)
ON CONFLICT (batch_id, reason) DO NOTHING
