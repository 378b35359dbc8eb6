CREATE TABLE performance (
    scoring_run_id text NOT NULL REFERENCES scoring_runs,
    segment        text NOT NULL,
    metric         text NOT NULL,
    basis          text NOT NULL CHECK (basis IN ('estimated', 'realised')),
    value          double precision,
    lower          double precision,
    upper          double precision,
    baseline       double precision,
    loans          integer NOT NULL CHECK (loans >= 0),
    PRIMARY KEY (scoring_run_id, segment, metric, basis),
    CHECK (value IS NOT NULL OR metric = 'ddm')
);
COMMENT ON TABLE performance IS 'A metric of a scored batch: estimated the night it is scored, realised once outcomes are in; restated as more come';
COMMENT ON COLUMN performance.scoring_run_id IS 'The run whose scores are measured';
COMMENT ON COLUMN performance.segment IS 'all, or a persona';
COMMENT ON COLUMN performance.metric IS 'auc, gini, ks, f1, precision, recall, brier, log_loss, calibration_slope, default_rate, default_rate_decile_1 (lowest scores) to _10, ddm, approval_rate, loss, loss_of_approved';
COMMENT ON COLUMN performance.basis IS 'estimated: from scores and decisions alone; realised: from outcomes, and only where the contract''s mature_share of them is in';
COMMENT ON COLUMN performance.value IS 'The metric; loss in the unit of the loan''s amount; ddm in standard deviations of its lowest level (warning from 2, drift from 3), null where too few loans were seen';
COMMENT ON COLUMN performance.lower IS 'Lower end of the 95 % interval: of estimated metrics it holds the realised value, of realised ones what they are an example of; null where there is none';
COMMENT ON COLUMN performance.upper IS 'Upper end of the 95 % interval';
COMMENT ON COLUMN performance.baseline IS 'The same on the model''s hold-out; of a realised loss what was expected of the same loans; null where there is none';
COMMENT ON COLUMN performance.loans IS 'Loans that it is measured on: scored ones, of realised metrics those with an outcome; of ddm all of the model''s stream so far';

CREATE TABLE fairness (
    scoring_run_id text NOT NULL REFERENCES scoring_runs,
    attribute      text NOT NULL,
    metric         text NOT NULL,
    value          double precision NOT NULL,
    lower          double precision NOT NULL,
    upper          double precision NOT NULL,
    groups         jsonb NOT NULL,
    PRIMARY KEY (scoring_run_id, attribute, metric)
);
COMMENT ON TABLE fairness IS 'How far the groups of a protected attribute are apart in the approval of a scored batch';
COMMENT ON COLUMN fairness.scoring_run_id IS 'The run whose decisions are measured';
COMMENT ON COLUMN fairness.attribute IS 'The protected column of applications';
COMMENT ON COLUMN fairness.metric IS 'demographic_parity_difference, demographic_parity_ratio; where outcomes are in equal_opportunity_difference (approval of those who pay), equalized_odds_difference';
COMMENT ON COLUMN fairness.value IS 'The metric over the groups that are compared';
COMMENT ON COLUMN fairness.lower IS 'Lower end of its 95 % bootstrap interval, which holds for all pairs of groups together';
COMMENT ON COLUMN fairness.upper IS 'Upper end of it';
COMMENT ON COLUMN fairness.groups IS 'Each group with rows, approval_rate and its interval, default_rate where outcomes are in, and left_out: why it is not compared, or null';

CREATE VIEW performance_by_batch AS
    SELECT
        r.batch_id, r.scoring_run_id, r.propensity_version, r.scored,
        CASE WHEN m.realised_loans IS NULL THEN 'unknown' ELSE 'realised' END AS state,
        m.*
    FROM scoring_runs AS r
    CROSS JOIN LATERAL (
        SELECT
            max(p.loans) FILTER (WHERE metric = 'default_rate' AND is_realised) AS realised_loans,
            max(value) FILTER (WHERE metric = 'auc' AND is_estimated) AS estimated_auc,
            max(lower) FILTER (WHERE metric = 'auc' AND is_estimated) AS estimated_auc_lower,
            max(upper) FILTER (WHERE metric = 'auc' AND is_estimated) AS estimated_auc_upper,
            max(value) FILTER (WHERE metric = 'auc' AND is_realised) AS realised_auc,
            max(lower) FILTER (WHERE metric = 'auc' AND is_realised) AS realised_auc_lower,
            max(upper) FILTER (WHERE metric = 'auc' AND is_realised) AS realised_auc_upper,
            max(baseline) FILTER (WHERE metric = 'auc') AS baseline_auc,
            max(value) FILTER (WHERE metric = 'default_rate' AND is_estimated)
                AS estimated_default_rate,
            max(value) FILTER (WHERE metric = 'default_rate' AND is_realised)
                AS realised_default_rate,
            max(baseline) FILTER (WHERE metric = 'default_rate') AS baseline_default_rate,
            max(value) FILTER (WHERE metric = 'calibration_slope' AND is_realised)
                AS realised_calibration_slope,
            max(value) FILTER (WHERE metric = 'ddm') AS ddm,
            max(value) FILTER (WHERE metric = 'approval_rate') AS approval_rate,
            max(value) FILTER (WHERE metric = 'loss' AND is_estimated) AS expected_loss,
            max(value) FILTER (WHERE metric = 'loss' AND is_realised) AS realised_loss,
            max(value) FILTER (WHERE metric = 'loss_of_approved' AND is_estimated)
                AS expected_loss_of_approved,
            max(value) FILTER (WHERE metric = 'loss_of_approved' AND is_realised)
                AS realised_loss_of_approved
        FROM performance AS p
        CROSS JOIN LATERAL (
            SELECT p.basis = 'realised' AS is_realised, p.basis = 'estimated' AS is_estimated
        ) AS told
        WHERE p.scoring_run_id = r.scoring_run_id AND p.segment = 'all'
    ) AS m
    WHERE r.is_current;
COMMENT ON VIEW performance_by_batch IS 'One row a scored batch: estimated, realised and hold-out figures side by side; state unknown until enough outcomes are in';

COMMENT ON COLUMN drift.kind IS 'data: inputs; prediction: scores, decisions, personas; model: scores against outcomes; target: outcomes; joint: inputs together';
COMMENT ON COLUMN drift.feature IS 'Column that was compared; default_probability of kind model, is_default of kind target';
COMMENT ON COLUMN drift.test IS 'ks, chi_square, psi, wasserstein, null_share, unseen_levels; model: auc_drop, calibration, ddm; target: default_rate';
