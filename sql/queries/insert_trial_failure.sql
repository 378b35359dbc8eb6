-- Record that a trial of training failed, with the reason.
INSERT INTO trial_failures (fingerprint, trial, reason)
VALUES (%(fingerprint)s, %(trial)s, %(reason)s)
