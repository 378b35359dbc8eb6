CREATE TABLE trials (
    fingerprint           text NOT NULL,
    trial                 text NOT NULL,
    place                 integer NOT NULL CHECK (place >= 0),
    algorithm             text NOT NULL,
    parameters            jsonb NOT NULL,
    folds                 jsonb NOT NULL,
    auc                   double precision NOT NULL,
    auc_standard_error    double precision NOT NULL,
    f1_paid               double precision NOT NULL,
    f1_default            double precision NOT NULL,
    brier                 double precision NOT NULL,
    log_loss              double precision NOT NULL,
    calibration_slope     double precision,
    calibration_intercept double precision,
    loans                 integer NOT NULL,
    seconds               double precision NOT NULL,
    tried_at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (fingerprint, trial)
);
COMMENT ON TABLE trials IS 'A candidate with parameters, cross-validated on the training part; never changed after it is written';
COMMENT ON COLUMN trials.fingerprint IS 'The training: hash over its rows, the contract and the code version, as in models';
COMMENT ON COLUMN trials.trial IS 'ALGORITHM-NUMBER, by the contract''s list of candidates';
COMMENT ON COLUMN trials.place IS 'Its place in that list, from the simplest on; of trials within one standard error of the best the first is chosen';
COMMENT ON COLUMN trials.algorithm IS 'The algorithm';
COMMENT ON COLUMN trials.parameters IS 'What the contract sets of its parameters';
COMMENT ON COLUMN trials.folds IS 'The metrics of each fold';
COMMENT ON COLUMN trials.auc IS 'Mean AUC over the folds';
COMMENT ON COLUMN trials.auc_standard_error IS 'Its standard error: standard deviation over the folds by the root of their number';
COMMENT ON COLUMN trials.f1_paid IS 'Mean F1 of paid loans, which are those below a default probability of 0.5';
COMMENT ON COLUMN trials.f1_default IS 'Mean F1 of defaulted loans, which are those from 0.5 on';
COMMENT ON COLUMN trials.brier IS 'Mean Brier score';
COMMENT ON COLUMN trials.log_loss IS 'Mean log loss';
COMMENT ON COLUMN trials.calibration_slope IS 'Of the logistic regression of outcomes on the log-odds of all out-of-fold predictions; null where it has no solution';
COMMENT ON COLUMN trials.calibration_intercept IS 'Its intercept';
COMMENT ON COLUMN trials.loans IS 'Loans of the training part that a model judges';
COMMENT ON COLUMN trials.seconds IS 'Wall time of the cross-validation';
COMMENT ON COLUMN trials.tried_at IS 'When it was written';

ALTER TABLE models ADD COLUMN leaks jsonb;
COMMENT ON COLUMN models.leaks IS 'What each column alone gave away of the outcome when the model was fitted: the leak report';
COMMENT ON COLUMN models.metrics IS 'What it was measured by: on the untouched hold-out, each with an interval below intervals; or its personas';
