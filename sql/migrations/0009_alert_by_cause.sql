CREATE TABLE findings (
    scoring_run_id text NOT NULL REFERENCES scoring_runs,
    cause          text NOT NULL CHECK (cause IN ('bad_data', 'population', 'concept')),
    severity       text NOT NULL CHECK (severity IN ('warning', 'critical')),
    subjects       text[] NOT NULL CHECK (cardinality(subjects) > 0),
    message        text NOT NULL,
    evidence       jsonb NOT NULL,
    PRIMARY KEY (scoring_run_id, cause)
);
COMMENT ON TABLE findings IS 'A cause that a batch shows; alerts are made of those that last';
COMMENT ON COLUMN findings.scoring_run_id IS 'The run whose batch shows it';
COMMENT ON COLUMN findings.cause IS 'bad_data: values are missing or were never seen; population: other people apply; concept: the same people default otherwise';
COMMENT ON COLUMN findings.severity IS 'warning, or critical from the contract''s psi_drifted on';
COMMENT ON COLUMN findings.subjects IS 'The columns that show it, the worst first';
COMMENT ON COLUMN findings.message IS 'What happened, in plain words';
COMMENT ON COLUMN findings.evidence IS 'The figures behind it, by column';

ALTER TABLE alerts
    ADD COLUMN last_batch_id text COLLATE "C",
    ADD COLUMN batches integer NOT NULL DEFAULT 1 CHECK (batches > 0),
    ADD COLUMN comment text;
UPDATE alerts SET last_batch_id = batch_id;
ALTER TABLE alerts ALTER COLUMN last_batch_id SET NOT NULL;
ALTER TABLE alerts DROP CONSTRAINT alerts_scoring_run_id_kind_subject_key;
CREATE UNIQUE INDEX alerts_once_an_episode ON alerts (kind, batch_id)
    WHERE kind IN ('bad_data', 'population', 'concept');
COMMENT ON COLUMN alerts.kind IS 'The cause: bad_data, population, concept (see findings); quality: the batch is not as the contract expects';
COMMENT ON COLUMN alerts.subject IS 'The columns it is about, the worst first; or batch';
COMMENT ON COLUMN alerts.batch_id IS 'The first batch that showed it';
COMMENT ON COLUMN alerts.last_batch_id IS 'The last batch that showed it';
COMMENT ON COLUMN alerts.batches IS 'How many batches showed it';
COMMENT ON COLUMN alerts.scoring_run_id IS 'The run that showed it last; null where the batch itself did, before it was scored';
COMMENT ON COLUMN alerts.comment IS 'What the person said who set the state';

ALTER TABLE retrain_requests ADD COLUMN cause text;
COMMENT ON COLUMN retrain_requests.cause IS 'population or concept; null where a history is new';

-- Alerts by column and night are history; metrics finds their causes anew.
UPDATE alerts SET state = 'resolved', changed_by = 'migration 0009', changed_at = now()
WHERE kind NOT IN ('quality') AND state <> 'resolved';

CREATE OR REPLACE VIEW open_alerts AS
    SELECT alert_id, batch_id, severity, kind, subject, message, state, raised_at,
           last_batch_id, batches
    FROM alerts
    WHERE state <> 'resolved';

CREATE OR REPLACE VIEW batch_health AS
    SELECT
        b.batch_id, b.revision, b.source, b.received, b.accepted, b.quarantined,
        r.scoring_run_id, r.scored, r.referred, r.propensity_version,
        (SELECT count(*) FROM drift AS d
          WHERE d.scoring_run_id = r.scoring_run_id AND d.level <> 'stable') AS drift_findings,
        (SELECT count(*) FROM alerts AS a
          WHERE a.state <> 'resolved'
            AND CASE WHEN a.revision IS NULL
                     THEN b.batch_id BETWEEN a.batch_id AND a.last_batch_id
                          AND EXISTS (SELECT FROM findings AS f
                                      WHERE f.scoring_run_id = r.scoring_run_id
                                        AND f.cause = a.kind)
                     ELSE a.batch_id = b.batch_id AND a.revision = b.revision END) AS open_alerts,
        b.published_at AS landed_at, r.published_at AS scored_at
    FROM batches AS b
    LEFT JOIN scoring_runs AS r ON r.batch_id = b.batch_id AND r.is_current
    WHERE b.is_current;
