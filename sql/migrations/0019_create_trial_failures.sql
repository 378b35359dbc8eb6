CREATE TABLE trial_failures (
    fingerprint text NOT NULL,
    trial       text NOT NULL,
    reason      text NOT NULL,
    failed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (fingerprint, trial, failed_at)
);
COMMENT ON TABLE trial_failures IS 'A trial that could not be fitted or measured; the training went on with the other trials';
COMMENT ON COLUMN trial_failures.fingerprint IS 'The training: hash of its rows, the contract and the code version, as in models';
COMMENT ON COLUMN trial_failures.trial IS 'ALGORITHM-NUMBER, by the contract''s list of candidates';
COMMENT ON COLUMN trial_failures.reason IS 'Type and first line of the error';
COMMENT ON COLUMN trial_failures.failed_at IS 'When the trial failed; a training that runs again tries the trial again';
