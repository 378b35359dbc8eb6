-- A batch may land in several files. Line numbers are counted on from file to file, so that the keys of
-- applications and quarantine stay as they are; this table says where each file begins.
CREATE TABLE batch_files (
    batch_id   text COLLATE "C" NOT NULL,
    revision   integer NOT NULL,
    file       text NOT NULL,
    first_line bigint NOT NULL CHECK (first_line > 0),
    records    bigint NOT NULL CHECK (records >= 0),
    sha256     text NOT NULL,
    PRIMARY KEY (batch_id, revision, first_line)
);
COMMENT ON TABLE batch_files IS 'The files from which a revision landed; revisions that landed earlier than this table have no rows';
COMMENT ON COLUMN batch_files.batch_id IS 'The batch, or outcomes-NAME for a file of outcomes';
COMMENT ON COLUMN batch_files.revision IS 'The revision of that batch or file of outcomes';
COMMENT ON COLUMN batch_files.file IS 'The name of the file';
COMMENT ON COLUMN batch_files.first_line IS 'The line_number that stands for line 1 of the file';
COMMENT ON COLUMN batch_files.records IS 'Records in the file, quarantined ones included';
COMMENT ON COLUMN batch_files.sha256 IS 'Hash of the file as delivered';
COMMENT ON COLUMN applications.line_number IS 'Line of the source file on which the record begins; the header is line 1; of several files the lines are counted on, see batch_files';
COMMENT ON COLUMN quarantine.line_number IS 'Line of the source file on which the record begins; the header is line 1; of several files the lines are counted on, see quarantined_lines';
COMMENT ON COLUMN batches.sha256 IS 'Hash of the file as delivered, of the names and hashes of several files, or of the corrected rows; the same bytes again change nothing';

CREATE VIEW quarantined_lines AS
SELECT q.batch_id, q.revision, f.file,
       q.line_number - coalesce(f.first_line, 1) + 1 AS line, q.raw_text, q.rules, q.line_number
FROM quarantine AS q
LEFT JOIN LATERAL (
    SELECT b.file, b.first_line
    FROM batch_files AS b
    WHERE b.batch_id = q.batch_id AND b.revision = q.revision AND b.first_line <= q.line_number
    ORDER BY b.first_line DESC
    LIMIT 1
) AS f ON true;
COMMENT ON VIEW quarantined_lines IS 'Refused rows, each with the file and the line of the file on which it begins';
