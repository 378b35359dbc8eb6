-- What pages read of a batch, so that none of them counts millions of scores.
CREATE TABLE distributions (
    scoring_run_id text NOT NULL REFERENCES scoring_runs,
    kind           text NOT NULL CHECK (kind IN ('data', 'prediction')),
    feature        text NOT NULL,
    loans          integer NOT NULL CHECK (loans >= 0),
    nulls          integer NOT NULL CHECK (nulls BETWEEN 0 AND loans),
    counts         jsonb NOT NULL,
    histogram      jsonb,
    PRIMARY KEY (scoring_run_id, kind, feature)
);
COMMENT ON TABLE distributions IS 'How a column of a scored batch is distributed over the bins or levels of its model''s baseline';
COMMENT ON COLUMN distributions.scoring_run_id IS 'The run whose batch it is';
COMMENT ON COLUMN distributions.kind IS 'data: an input; prediction: what scoring wrote, such as decision and persona';
COMMENT ON COLUMN distributions.feature IS 'The column';
COMMENT ON COLUMN distributions.loans IS 'Rows of the batch, those without a value included';
COMMENT ON COLUMN distributions.nulls IS 'Rows without a value';
COMMENT ON COLUMN distributions.counts IS 'Of a number an array: rows by bin of the baseline''s edges; of a category an object: rows by level, the commonest 50';
COMMENT ON COLUMN distributions.histogram IS 'Of default_probability: rows in 40 even bins from 0 to 1, as in models.evaluation; else null';

ALTER TABLE alerts ADD COLUMN snoozed_until date;
COMMENT ON COLUMN alerts.snoozed_until IS 'Until that day, itself not included, a person does not want to see it; the state stays. Null where nobody said so, and again where it turns critical';

CREATE OR REPLACE VIEW open_alerts AS
    SELECT alert_id, batch_id, severity, kind, subject, message, state, raised_at,
           last_batch_id, batches, snoozed_until
    FROM alerts
    WHERE state <> 'resolved';
