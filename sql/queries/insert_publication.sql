-- Record from when on readers see another scoring run of a batch, or none.
INSERT INTO publications (batch_id, scoring_run_id, occasion, published_by)
VALUES (%(batch_id)s, %(scoring_run_id)s, %(occasion)s, %(published_by)s)
