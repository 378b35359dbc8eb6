-- Rights of an applicant: erasures, the files that they rewrote, the backups that still hold erased
-- loans, and who read the record of one applicant.
CREATE TABLE erasures (
    erasure_id   uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    pseudonym    text NOT NULL UNIQUE,
    loan_id      text,
    reason       text NOT NULL CHECK (reason <> ''),
    erased_by    text NOT NULL CHECK (erased_by <> ''),
    asked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_at   timestamptz,
    finished_at  timestamptz,
    CHECK ((finished_at IS NULL) = (loan_id IS NOT NULL)),
    CHECK (finished_at IS NULL OR applied_at IS NOT NULL)
);
CREATE UNIQUE INDEX erasures_of_open_loans ON erasures (loan_id);
COMMENT ON TABLE erasures IS 'Loans that were erased at the request of a person. The owner writes it';
COMMENT ON COLUMN erasures.erasure_id IS 'The erasure, as the audit log names it';
COMMENT ON COLUMN erasures.pseudonym IS 'Random key under which scores and decisions of the loan are kept';
COMMENT ON COLUMN erasures.loan_id IS 'The loan while the erasure is not finished; null afterwards';
COMMENT ON COLUMN erasures.reason IS 'Why, in the words of the person';
COMMENT ON COLUMN erasures.erased_by IS 'cli:USER';
COMMENT ON COLUMN erasures.asked_at IS 'When the erasure began';
COMMENT ON COLUMN erasures.applied_at IS 'When the rows of the database were erased; null before';
COMMENT ON COLUMN erasures.finished_at IS 'When the last file was gone; null while something is left to do';

CREATE TABLE erased_files (
    erasure_id uuid NOT NULL REFERENCES erasures,
    path       text NOT NULL,
    old_sha256 text NOT NULL,
    new_sha256 text,
    PRIMARY KEY (erasure_id, path, old_sha256)
);
COMMENT ON TABLE erased_files IS 'Files of the data folder that an erasure rewrote or removed';
COMMENT ON COLUMN erased_files.erasure_id IS 'The erasure';
COMMENT ON COLUMN erased_files.path IS 'Path of the file below the data folder';
COMMENT ON COLUMN erased_files.old_sha256 IS 'Hash of the file that held the loan';
COMMENT ON COLUMN erased_files.new_sha256 IS 'Hash of the file without the loan; null if the file was removed';

CREATE TABLE backups (
    backup_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    folder       text NOT NULL CHECK (folder <> ''),
    taken_at     timestamptz NOT NULL,
    ends_on      date,
    is_encrypted boolean NOT NULL
);
COMMENT ON TABLE backups IS 'Backups that hold the portfolio. Table of the owner';
COMMENT ON COLUMN backups.backup_id IS 'Counts up';
COMMENT ON COLUMN backups.folder IS 'Folder on the machine that wrote it';
COMMENT ON COLUMN backups.taken_at IS 'When its dump began';
COMMENT ON COLUMN backups.ends_on IS 'Day after which it is to be deleted; null if nobody named one';
COMMENT ON COLUMN backups.is_encrypted IS 'Whether its files are encrypted';

CREATE TABLE readings (
    reading_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    read_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    read_by    text NOT NULL CHECK (read_by <> ''),
    loan_id    loan_key NOT NULL,
    place      text NOT NULL CHECK (place IN ('desk', 'cli', 'letter', 'export'))
);
CREATE INDEX readings_by_loan ON readings (loan_id);
COMMENT ON TABLE readings IS 'Append-only for the application: who read the record of one applicant';
COMMENT ON COLUMN readings.reading_id IS 'Counts up';
COMMENT ON COLUMN readings.read_at IS 'When';
COMMENT ON COLUMN readings.read_by IS 'airflow:USER, or cli:USER (the account that ran the command)';
COMMENT ON COLUMN readings.loan_id IS 'The loan; after an erasure its pseudonym';
COMMENT ON COLUMN readings.place IS 'Where: desk, cli, letter, or export of everything held on the loan';

COMMENT ON COLUMN scores.loan_id IS 'The loan; after an erasure its pseudonym, see erasures';
COMMENT ON COLUMN approvals.loan_id IS 'The loan; after an erasure its pseudonym, see erasures';
