-- Outcomes are tested against what was expected of the same loans, over nights too, and DDM is gone
-- (docs/adr/0037). Only funded loans count whose outcome is final.
CREATE TABLE outcome_coverage (
    scoring_run_id     text PRIMARY KEY REFERENCES scoring_runs,
    due                integer NOT NULL,
    known              integer NOT NULL CHECK (known <= due),
    is_settled         boolean NOT NULL,
    counted_by         text NOT NULL,
    outcomes_as_of     date,
    outcomes_change_id bigint REFERENCES outcome_changes,
    decided_at         timestamptz
);
COMMENT ON TABLE outcome_coverage IS 'How many outcomes of a scoring run were in when it was last measured, so that only runs that may have changed are counted again';
COMMENT ON COLUMN outcome_coverage.scoring_run_id IS 'The scoring run';
COMMENT ON COLUMN outcome_coverage.due IS 'Scored loans that are funded and whose outcome is final by the contract''s known_for and window_days';
COMMENT ON COLUMN outcome_coverage.known IS 'Those of them whose outcome is in';
COMMENT ON COLUMN outcome_coverage.is_settled IS 'Whether all funded loans are due and known: then only a changed outcome or a person''s decision changes the counts';
COMMENT ON COLUMN outcome_coverage.counted_by IS 'The contract''s known_for, window_days and counted_from by which they were counted';
COMMENT ON COLUMN outcome_coverage.outcomes_as_of IS 'Until when outcomes were known, from which window_days count back; null if none were';
COMMENT ON COLUMN outcome_coverage.outcomes_change_id IS 'The last change of outcomes before it was measured';
COMMENT ON COLUMN outcome_coverage.decided_at IS 'The last decision of a person on a loan of the batch before it was measured; null if none';

CREATE TABLE outcome_sums (
    scoring_run_id       text NOT NULL REFERENCES scoring_runs,
    test                 text NOT NULL CHECK (test IN ('auc_drop', 'default_rate')),
    loans                integer NOT NULL CHECK (loans > 0),
    observed             double precision NOT NULL,
    expected             double precision NOT NULL,
    error                double precision NOT NULL,
    floor                double precision NOT NULL,
    rise                 double precision,
    rise_variance        double precision,
    fall                 double precision NOT NULL,
    fall_variance        double precision NOT NULL,
    sum                  double precision,
    limit_of_sum         double precision,
    nights               integer,
    loans_over_nights    bigint,
    observed_over_nights double precision,
    expected_over_nights double precision,
    PRIMARY KEY (scoring_run_id, test),
    CHECK ((rise IS NULL) = (test = 'auc_drop'))
);
COMMENT ON TABLE outcome_sums IS 'Outcomes of a mature batch against what was expected of the same loans, and the sum of such differences over the nights of one model';
COMMENT ON COLUMN outcome_sums.scoring_run_id IS 'The scoring run';
COMMENT ON COLUMN outcome_sums.test IS 'default_rate: numbers of defaults; auc_drop: AUC at the batch''s own default rate';
COMMENT ON COLUMN outcome_sums.loans IS 'Funded loans with a final outcome';
COMMENT ON COLUMN outcome_sums.observed IS 'Defaults, or AUC';
COMMENT ON COLUMN outcome_sums.expected IS 'What was expected of the same loans by their corrected probabilities';
COMMENT ON COLUMN outcome_sums.error IS 'Standard error of observed minus expected: chance, default correlation and the calibration curve';
COMMENT ON COLUMN outcome_sums.floor IS 'Smallest difference that counts: of default rates, or of AUCs';
COMMENT ON COLUMN outcome_sums.rise IS 'What the night adds to the sum that looks for more defaults; null for auc_drop, for a higher AUC is no drift';
COMMENT ON COLUMN outcome_sums.rise_variance IS 'Its variance without a change';
COMMENT ON COLUMN outcome_sums.fall IS 'What the night adds to the sum that looks for fewer defaults or a lower AUC';
COMMENT ON COLUMN outcome_sums.fall_variance IS 'Its variance without a change';
COMMENT ON COLUMN outcome_sums.sum IS 'The sum after this night, of the side that is nearer to its limit; an alarm from the limit on; null until it is added up';
COMMENT ON COLUMN outcome_sums.limit_of_sum IS 'The limit, from the contract''s nights_per_false_alarm';
COMMENT ON COLUMN outcome_sums.nights IS 'Mature nights of the model since the sum was last 0, this one included';
COMMENT ON COLUMN outcome_sums.loans_over_nights IS 'Loans of these nights';
COMMENT ON COLUMN outcome_sums.observed_over_nights IS 'Defaults of these nights, or mean AUC by loans';
COMMENT ON COLUMN outcome_sums.expected_over_nights IS 'What was expected of the same loans';

COMMENT ON COLUMN performance.metric IS 'auc, gini, ks, f1, precision, recall, brier, log_loss, calibration_slope, default_rate, default_rate_decile_1 (lowest scores) to _10, approval_rate, loss, loss_of_approved, loss_given_default; in rows of earlier releases also ddm';
COMMENT ON COLUMN performance.value IS 'The metric; loss in the unit of the loan''s amount';
COMMENT ON COLUMN performance.loans IS 'Loans that it is measured on: scored ones; of realised metrics the funded ones whose outcome is final and in';
COMMENT ON COLUMN performance_by_batch.state IS 'realised: enough outcomes of funded loans are in; unknown: they are not';
COMMENT ON COLUMN performance_by_batch.realised_loans IS 'Funded loans whose outcome is final and in (all loans if the contract''s known_for is all); null where the state is unknown, as in all realised figures';
COMMENT ON COLUMN performance_by_batch.realised_default_rate IS 'Share of these loans that defaulted';
COMMENT ON COLUMN performance_by_batch.realised_auc IS 'AUC by their outcomes';
COMMENT ON COLUMN performance_by_batch.ddm IS 'Not measured any more: largest distance of the drift detection method, in rows of earlier releases';
COMMENT ON COLUMN drift.test IS 'ks, chi_square, psi, wasserstein, null_share, unseen_levels; model: auc_drop, auc_drop_over_nights; target: default_rate, default_rate_over_nights; in rows of earlier releases also calibration and ddm';
COMMENT ON COLUMN drift.p_value IS 'Its p-value; null where the test has none: the tests over nights have a limit of their own';
