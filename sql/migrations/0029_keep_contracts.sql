-- The contract by which batches were read, so that `contract diff` can say what changed since.
CREATE TABLE contracts (
    contract_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    batch_id    text NOT NULL,
    contract    json NOT NULL
);
COMMENT ON TABLE contracts IS 'Append-only: each contract by which a batch was read, when it differs from the one before';
COMMENT ON COLUMN contracts.contract_id IS 'Counts up; the highest is the last contract';
COMMENT ON COLUMN contracts.recorded_at IS 'When the first batch landed under this contract';
COMMENT ON COLUMN contracts.batch_id IS 'That batch';
COMMENT ON COLUMN contracts.contract IS 'All fields, with their defaults, in their order';
