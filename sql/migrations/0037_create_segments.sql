CREATE TABLE segments (
    scoring_run_id        text NOT NULL REFERENCES scoring_runs,
    segmented_by          text NOT NULL,
    segment               text NOT NULL,
    place                 integer NOT NULL,
    loans                 integer NOT NULL CHECK (loans > 0),
    approval_rate         double precision NOT NULL,
    approval_lower        double precision NOT NULL,
    approval_upper        double precision NOT NULL,
    expected_default_rate double precision NOT NULL,
    outcomes              integer CHECK (outcomes >= 0),
    default_rate          double precision,
    default_lower         double precision,
    default_upper         double precision,
    expected_of_outcomes  double precision,
    calibration           double precision,
    calibration_lower     double precision,
    calibration_upper     double precision,
    auc                   double precision,
    auc_lower             double precision,
    auc_upper             double precision,
    expected_auc          double precision,
    difference            double precision,
    p_adjusted            double precision,
    stands_out            boolean,
    PRIMARY KEY (scoring_run_id, segmented_by, segment)
);
COMMENT ON TABLE segments IS 'A segment of a scored batch: what is expected of it the night it is scored, and its outcomes once enough are in; restated as more come';
COMMENT ON COLUMN segments.scoring_run_id IS 'The scoring run whose scores are measured';
COMMENT ON COLUMN segments.segmented_by IS 'persona, or a column of the contract''s performance.segments';
COMMENT ON COLUMN segments.segment IS 'The persona, level or band; not stated: the column is null; other levels: all levels with few loans together';
COMMENT ON COLUMN segments.place IS 'Order in which the segments of a column are shown';
COMMENT ON COLUMN segments.loans IS 'Loans with a default probability';
COMMENT ON COLUMN segments.approval_rate IS 'Share of the loans that the policy approves';
COMMENT ON COLUMN segments.approval_lower IS 'Lower end of the 95 % interval of approval_rate (Wilson)';
COMMENT ON COLUMN segments.approval_upper IS 'Upper end of it';
COMMENT ON COLUMN segments.expected_default_rate IS 'Mean of the probabilities of all loans, corrected by the calibration curve of the model''s hold-out';
COMMENT ON COLUMN segments.outcomes IS 'Funded loans with a final outcome; null until enough loans of the batch have one';
COMMENT ON COLUMN segments.default_rate IS 'Default rate of the loans whose outcome counts';
COMMENT ON COLUMN segments.default_lower IS 'Lower end of the 95 % interval of default_rate (Wilson)';
COMMENT ON COLUMN segments.default_upper IS 'Upper end of it';
COMMENT ON COLUMN segments.expected_of_outcomes IS 'Mean corrected probability of the loans whose outcome counts';
COMMENT ON COLUMN segments.calibration IS 'default_rate minus expected_of_outcomes';
COMMENT ON COLUMN segments.calibration_lower IS 'Lower end of its 95 % interval, which takes what is expected as known';
COMMENT ON COLUMN segments.calibration_upper IS 'Upper end of it';
COMMENT ON COLUMN segments.auc IS 'AUC within the segment; null with too few defaults or paid loans';
COMMENT ON COLUMN segments.auc_lower IS 'Lower end of its 95 % interval (DeLong)';
COMMENT ON COLUMN segments.auc_upper IS 'Upper end of it';
COMMENT ON COLUMN segments.expected_auc IS 'AUC that the corrected probabilities of the same loans let expect: within a segment it is lower than over all';
COMMENT ON COLUMN segments.difference IS 'default_rate minus what is expected after one shift of the log-odds of all loans of the batch: what the segment has beyond the rest';
COMMENT ON COLUMN segments.p_adjusted IS 'p-value of the exact conditional test of the difference, adjusted by Holm over all segments of the batch';
COMMENT ON COLUMN segments.stands_out IS 'Whether p_adjusted is below the contract''s monitoring.q and both calibration and difference, in the same direction, at least the smaller of performance.default_rate_floor and default_rate_relative_floor of what is expected';
