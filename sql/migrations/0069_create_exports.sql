-- Months that were written as Parquet outside the database. An erasure and an auditor must know where they are.
CREATE TABLE exports (
    location    text NOT NULL CHECK (location <> ''),
    table_name  text NOT NULL CHECK (table_name IN ('applications', 'scores', 'outcomes', 'drift')),
    month       text COLLATE "C" NOT NULL CHECK (month ~ '^\d{4}-\d{2}$'),
    rows        bigint NOT NULL CHECK (rows >= 0),
    sha256      text NOT NULL,
    exported_by text NOT NULL CHECK (exported_by <> ''),
    exported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (location, exported_at)
);
CREATE TRIGGER exports_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON exports
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE exports IS 'Append-only: Parquet files of a month that were written outside the database';
COMMENT ON COLUMN exports.location IS 'Path or address of the file';
COMMENT ON COLUMN exports.table_name IS 'Table whose rows it has';
COMMENT ON COLUMN exports.month IS 'Month of their batches, YYYY-MM';
COMMENT ON COLUMN exports.rows IS 'Rows of the file';
COMMENT ON COLUMN exports.sha256 IS 'Hash of the file as it was written; erased_files has later ones';
COMMENT ON COLUMN exports.exported_by IS 'Who: cli:USER or airflow:DAG';
COMMENT ON COLUMN exports.exported_at IS 'When';
