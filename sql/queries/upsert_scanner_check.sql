-- Record how the forms of a batch differ from those of a classifier's training.
INSERT INTO scanner_checks (batch_id, model_version, pages, figures, drifted)
VALUES (%(batch_id)s, %(model_version)s, %(pages)s, %(figures)s, %(drifted)s)
ON CONFLICT (batch_id) DO UPDATE SET
    model_version = excluded.model_version, pages = excluded.pages, figures = excluded.figures,
    drifted = excluded.drifted, checked_at = clock_timestamp()
