CREATE TABLE valid_contracts (
    is_only  boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    contract jsonb NOT NULL,
    read_at  timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE valid_contracts IS 'The contract when it was valid last: who is told when its file is broken. One row';
COMMENT ON COLUMN valid_contracts.is_only IS 'True, so that there is one row';
COMMENT ON COLUMN valid_contracts.contract IS 'All fields of the contract';
COMMENT ON COLUMN valid_contracts.read_at IS 'When this content was read first';

ALTER TABLE alerts
    DROP CONSTRAINT alerts_has_origin,
    ADD CONSTRAINT alerts_has_origin CHECK (
        scoring_run_id IS NOT NULL OR revision IS NOT NULL
        OR kind IN ('delivery', 'failure', 'landing', 'contract')
    );
CREATE UNIQUE INDEX alerts_once_a_contract ON alerts (subject)
    WHERE kind = 'contract' AND state <> 'resolved';
COMMENT ON COLUMN alerts.kind IS 'The cause: bad_data, population, concept (see findings); quality: the batch is not as the contract expects; failure: a stage failed for good; delivery: a channel of notifications takes no message; landing: files and batches differ (see landing_findings); contract: a contract cannot be used';
COMMENT ON COLUMN alerts.subject IS 'The columns it is about, the worst first; or batch; of failure the stage, of delivery the channel, of landing the finding, of contract the name of its file';
