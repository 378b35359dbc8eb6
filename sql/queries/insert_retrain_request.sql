-- Ask for retraining, once for the same cause.
INSERT INTO retrain_requests (batch_id, verdict, reason)
VALUES (%(batch_id)s, %(verdict)s, %(reason)s)
ON CONFLICT (batch_id, reason) DO NOTHING
