-- Record a cause that monitoring found in the batch of a scoring run.
INSERT INTO findings (scoring_run_id, cause, severity, subjects, message, evidence)
VALUES
    (%(scoring_run_id)s, %(cause)s, %(severity)s, %(subjects)s, %(message)s, %(evidence)s)
