CREATE TABLE quality (
    batch_id         text COLLATE "C" NOT NULL,
    revision         integer NOT NULL,
    expectation      text NOT NULL,
    severity         text NOT NULL CHECK (severity IN ('critical', 'warning')),
    column_name      text,
    is_success       boolean NOT NULL,
    observed         double precision,
    observed_text    text,
    unexpected_count bigint,
    limits           jsonb NOT NULL,
    judged_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (batch_id, revision, expectation),
    FOREIGN KEY (batch_id, revision) REFERENCES batches
);
COMMENT ON TABLE quality IS 'An expectation''s verdict on a batch revision; kept as evidence where the batch was refused';
COMMENT ON COLUMN quality.batch_id IS 'The batch';
COMMENT ON COLUMN quality.revision IS 'Its revision';
COMMENT ON COLUMN quality.expectation IS 'RULE, or RULE:COLUMN';
COMMENT ON COLUMN quality.severity IS 'critical: its failure refuses the batch; warning: its failure raises an alert';
COMMENT ON COLUMN quality.column_name IS 'The column it is about; null where it is about the batch as a whole';
COMMENT ON COLUMN quality.is_success IS 'Whether the batch is as expected';
COMMENT ON COLUMN quality.observed IS 'Rows (row_count, volume), share of distinct keys (unique), else the share of rows that are not as expected';
COMMENT ON COLUMN quality.observed_text IS 'What was found, where a number does not say it: columns, levels';
COMMENT ON COLUMN quality.unexpected_count IS 'Rows that are not as expected, where rows are counted';
COMMENT ON COLUMN quality.limits IS 'The expectation''s type in Great Expectations and what it was held against';
COMMENT ON COLUMN quality.judged_at IS 'When it was judged last';

-- What is wrong with a batch is known before any model has scored it: such an alert belongs to a
-- batch revision, not to a scoring run.
ALTER TABLE alerts
    ALTER COLUMN scoring_run_id DROP NOT NULL,
    ADD COLUMN revision integer,
    ADD FOREIGN KEY (batch_id, revision) REFERENCES batches,
    ADD CHECK (scoring_run_id IS NOT NULL OR revision IS NOT NULL);
CREATE UNIQUE INDEX alerts_once_a_revision ON alerts (batch_id, revision, kind, subject)
    WHERE scoring_run_id IS NULL;
COMMENT ON COLUMN alerts.scoring_run_id IS 'The run that showed it; null where the batch itself did, before it was scored';
COMMENT ON COLUMN alerts.revision IS 'The batch revision that showed it; null where a scoring run did';
COMMENT ON COLUMN alerts.severity IS 'warning; critical: drift from the contract''s psi_drifted on, or a refused batch';
COMMENT ON COLUMN alerts.kind IS 'Kind of drift, or quality: the batch is not as the contract expects';
COMMENT ON COLUMN alerts.subject IS 'The column it is about, or batch';

CREATE OR REPLACE VIEW batch_health AS
    SELECT
        b.batch_id, b.revision, b.source, b.received, b.accepted, b.quarantined,
        r.scoring_run_id, r.scored, r.referred, r.propensity_version,
        (SELECT count(*) FROM drift AS d
          WHERE d.scoring_run_id = r.scoring_run_id AND d.level <> 'stable') AS drift_findings,
        (SELECT count(*) FROM alerts AS a
          WHERE a.state <> 'resolved'
            AND (a.scoring_run_id = r.scoring_run_id
                 OR (a.batch_id = b.batch_id AND a.revision = b.revision))) AS open_alerts,
        b.published_at AS landed_at, r.published_at AS scored_at
    FROM batches AS b
    LEFT JOIN scoring_runs AS r ON r.batch_id = b.batch_id AND r.is_current
    WHERE b.is_current;
