CREATE TABLE landing_files (
    kind        text NOT NULL CHECK (kind IN ('applications', 'outcomes')),
    name        text NOT NULL,
    bytes       bigint NOT NULL CHECK (bytes >= 0),
    modified_ns bigint NOT NULL,
    sha256      text NOT NULL,
    PRIMARY KEY (kind, name)
);
COMMENT ON TABLE landing_files IS 'Hashes of the files in the landing folder, so that an unchanged file is not read again each night';
COMMENT ON COLUMN landing_files.kind IS 'The folder: applications or outcomes';
COMMENT ON COLUMN landing_files.name IS 'The name of the file';
COMMENT ON COLUMN landing_files.bytes IS 'Its size when the hash was computed';
COMMENT ON COLUMN landing_files.modified_ns IS 'When it was last modified then, in nanoseconds since 1970';
COMMENT ON COLUMN landing_files.sha256 IS 'SHA-256 of its bytes';

CREATE TABLE landing_findings (
    finding  text NOT NULL CHECK (finding IN ('missing', 'untaken', 'changed')),
    subject  text NOT NULL,
    batch_id text COLLATE "C",
    message  text NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (finding, subject)
);
COMMENT ON TABLE landing_findings IS 'Where the landing folder and the tables differ, as of the last reconciliation';
COMMENT ON COLUMN landing_findings.finding IS 'missing: a date that was due has no file; untaken: a file that no run took; changed: the bytes of a file changed after it was taken';
COMMENT ON COLUMN landing_findings.subject IS 'The date, or the file; for changed with the beginning of its new SHA-256';
COMMENT ON COLUMN landing_findings.batch_id IS 'The date that the finding is about; null if the file''s name names none';
COMMENT ON COLUMN landing_findings.message IS 'What was found, in words';
COMMENT ON COLUMN landing_findings.found_at IS 'When it was found first';

ALTER TABLE alerts
    DROP CONSTRAINT alerts_has_origin,
    ADD CONSTRAINT alerts_has_origin CHECK (
        scoring_run_id IS NOT NULL OR revision IS NOT NULL
        OR kind IN ('delivery', 'failure', 'landing')
    );
CREATE UNIQUE INDEX alerts_once_a_landing ON alerts (subject)
    WHERE kind = 'landing' AND state <> 'resolved';
COMMENT ON COLUMN alerts.kind IS 'The cause: bad_data, population, concept (see findings); quality: the batch is not as the contract expects; failure: a stage failed for good; delivery: a channel of notifications takes no message; landing: files and batches differ (see landing_findings)';
COMMENT ON COLUMN alerts.subject IS 'The columns it is about, the worst first; or batch; of failure the stage, of delivery the channel, of landing the finding';
