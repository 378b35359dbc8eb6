ALTER TABLE scoring_runs ADD COLUMN policy jsonb;
COMMENT ON COLUMN scoring_runs.policy IS 'Thresholds and exclusions of the contract that its decisions were made by; null in runs of a release that did not keep them';
COMMENT ON COLUMN scoring_runs.scoring_run_id IS 'Derived from batch, revision, model pair and policy: the same work has the same id';
COMMENT ON TABLE scoring_runs IS 'One batch revision scored with one pair of models under one policy';

-- landed_at was when the batch was published, which is no use to whom a night's promise matters.
CREATE OR REPLACE VIEW batch_health AS
    SELECT
        b.batch_id, b.revision, b.source, b.received, b.accepted, b.quarantined,
        r.scoring_run_id, r.scored, r.referred, r.propensity_version,
        (SELECT count(*) FROM drift AS d
          WHERE d.scoring_run_id = r.scoring_run_id AND d.level <> 'stable') AS drift_findings,
        (SELECT count(*) FROM alerts AS a
          WHERE a.state <> 'resolved'
            AND CASE WHEN a.kind IN ('failure', 'delivery')
                     THEN b.batch_id BETWEEN a.batch_id AND a.last_batch_id
                     WHEN a.revision IS NULL
                     THEN b.batch_id BETWEEN a.batch_id AND a.last_batch_id
                          AND EXISTS (SELECT FROM findings AS f
                                      WHERE f.scoring_run_id = r.scoring_run_id
                                        AND f.cause = a.kind)
                     ELSE a.batch_id = b.batch_id AND a.revision = b.revision END) AS open_alerts,
        b.landed_at, r.published_at AS scored_at
    FROM batches AS b
    LEFT JOIN scoring_runs AS r ON r.batch_id = b.batch_id AND r.is_current
    WHERE b.is_current;
COMMENT ON COLUMN batch_health.drift_findings IS 'Tests of its current scoring run whose level is not stable';
COMMENT ON COLUMN batch_health.open_alerts IS 'Alerts on it that are not resolved';
COMMENT ON COLUMN batch_health.landed_at IS 'When the rows of the revision that counts were first copied in';
COMMENT ON COLUMN batch_health.scored_at IS 'When its current scores became visible; null where it has none';
COMMENT ON COLUMN champions.promoted_by IS 'Who promoted it';
COMMENT ON COLUMN champions.promoted_at IS 'When';
COMMENT ON COLUMN performance_by_batch.state IS 'realised: enough outcomes are in; unknown: they are not';
COMMENT ON COLUMN performance_by_batch.realised_loans IS 'Scored loans whose outcome is in; null where the state is unknown, as in all realised figures';
COMMENT ON COLUMN performance_by_batch.estimated_auc IS 'AUC that calibrated probabilities alone let expect';
COMMENT ON COLUMN performance_by_batch.estimated_auc_lower IS 'Lower end of its interval';
COMMENT ON COLUMN performance_by_batch.estimated_auc_upper IS 'Upper end of its interval';
COMMENT ON COLUMN performance_by_batch.realised_auc IS 'AUC by outcomes';
COMMENT ON COLUMN performance_by_batch.realised_auc_lower IS 'Lower end of its interval';
COMMENT ON COLUMN performance_by_batch.realised_auc_upper IS 'Upper end of its interval';
COMMENT ON COLUMN performance_by_batch.baseline_auc IS 'AUC of the model on its hold-out';
COMMENT ON COLUMN performance_by_batch.estimated_default_rate IS 'Default rate that calibrated probabilities let expect';
COMMENT ON COLUMN performance_by_batch.realised_default_rate IS 'Share of the loans with an outcome that defaulted';
COMMENT ON COLUMN performance_by_batch.baseline_default_rate IS 'Default rate of the hold-out';
COMMENT ON COLUMN performance_by_batch.realised_calibration_slope IS 'Slope of outcomes on predicted log-odds; 1 is calibrated';
COMMENT ON COLUMN performance_by_batch.ddm IS 'Largest distance of the drift detection method within the batch: warning from 2, drift from 3';
COMMENT ON COLUMN performance_by_batch.approval_rate IS 'Share of the scored loans that are approved';
COMMENT ON COLUMN performance_by_batch.expected_loss IS 'Expected loss if all scored loans were lent';
COMMENT ON COLUMN performance_by_batch.realised_loss IS 'Loss on the loans with an outcome';
COMMENT ON COLUMN performance_by_batch.expected_loss_of_approved IS 'Expected loss on the approved loans';
COMMENT ON COLUMN performance_by_batch.realised_loss_of_approved IS 'Loss on the approved loans with an outcome';
