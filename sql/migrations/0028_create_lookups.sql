CREATE TABLE lookup_deliveries (
    delivery_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lookup       text NOT NULL,
    source       text NOT NULL,
    sha256       text NOT NULL,
    rules_sha256 text NOT NULL,
    received     bigint NOT NULL CHECK (received >= 0),
    added        bigint NOT NULL CHECK (added >= 0),
    unchanged    bigint NOT NULL CHECK (unchanged >= 0),
    left_out     bigint NOT NULL CHECK (left_out >= 0),
    refused      jsonb NOT NULL,
    delivered_at timestamptz NOT NULL DEFAULT now(),
    delivered_by text NOT NULL
);
CREATE INDEX lookup_deliveries_of_lookup ON lookup_deliveries (lookup, delivery_id);
COMMENT ON TABLE lookup_deliveries IS 'Files of the tables that the contract declares under lookups, as they were taken';
COMMENT ON COLUMN lookup_deliveries.delivery_id IS 'Number of the delivery; a later delivery has a higher number';
COMMENT ON COLUMN lookup_deliveries.lookup IS 'Name of the look-up in the contract';
COMMENT ON COLUMN lookup_deliveries.source IS 'Path or URL of the file, without user, password and query';
COMMENT ON COLUMN lookup_deliveries.sha256 IS 'SHA-256 of its bytes';
COMMENT ON COLUMN lookup_deliveries.rules_sha256 IS 'Hash of the fields of the contract by which it was read';
COMMENT ON COLUMN lookup_deliveries.received IS 'Rows in the file';
COMMENT ON COLUMN lookup_deliveries.added IS 'Rows that were new, and were added to lookup_rows';
COMMENT ON COLUMN lookup_deliveries.unchanged IS 'Rows that an earlier delivery, or this file, had already';
COMMENT ON COLUMN lookup_deliveries.left_out IS 'Rows that do not meet the condition where of the look-up';
COMMENT ON COLUMN lookup_deliveries.refused IS 'Number of rows that broke a rule, by rule and column';
COMMENT ON COLUMN lookup_deliveries.delivered_at IS 'When it was taken';
COMMENT ON COLUMN lookup_deliveries.delivered_by IS 'Who took it';

CREATE TABLE lookup_rows (
    lookup      text NOT NULL,
    key         text NOT NULL,
    known_at    timestamptz NOT NULL,
    delivery_id bigint NOT NULL REFERENCES lookup_deliveries,
    "values"    jsonb NOT NULL,
    PRIMARY KEY (lookup, key, known_at, delivery_id)
);
COMMENT ON TABLE lookup_rows IS 'Rows of look-ups, joined to applications as of their date; rows are only added, so that earlier joins can be repeated';
COMMENT ON COLUMN lookup_rows.lookup IS 'Name of the look-up in the contract';
COMMENT ON COLUMN lookup_rows.key IS 'Key of the row; the parts of a composite key are separated by the character U+001F';
COMMENT ON COLUMN lookup_rows.known_at IS 'When the row was known: an application of an earlier date never gets it; -infinity in a static table';
COMMENT ON COLUMN lookup_rows.delivery_id IS 'Delivery that added the row';
COMMENT ON COLUMN lookup_rows.values IS 'Values by column of the look-up';

ALTER TABLE scoring_runs ADD COLUMN lookup_delivery_id bigint;
COMMENT ON COLUMN scoring_runs.lookup_delivery_id IS 'Last delivery of look-ups when the run was planned: the run reads no later one; null without look-ups';
