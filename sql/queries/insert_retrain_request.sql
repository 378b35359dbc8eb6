-- Ask for retraining, or withhold it, once for the same reason.
INSERT INTO retrain_requests (batch_id, cause, verdict, reason)
VALUES (%(batch_id)s, %(cause)s, %(verdict)s, %(reason)s)
ON CONFLICT (batch_id, reason) DO NOTHING
