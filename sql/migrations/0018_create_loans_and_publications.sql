-- One row a loan, whatever the number of batches: its key is looked up once instead of once in each
-- month, and the primary key keeps a loan from being an application of two current batches.
CREATE TABLE loans (
    loan_id  loan_key PRIMARY KEY,
    batch_id text COLLATE "C" NOT NULL
);
COMMENT ON TABLE loans IS 'Each loan that is an application of a current batch, and which batch. Stages write it when a batch is published or withdrawn';
COMMENT ON COLUMN loans.loan_id IS 'The loan';
COMMENT ON COLUMN loans.batch_id IS 'The batch whose current revision has the loan';

INSERT INTO loans (loan_id, batch_id)
SELECT a.loan_id, min(a.batch_id)
FROM applications AS a
JOIN batches AS b USING (batch_id, revision)
WHERE b.is_current
GROUP BY a.loan_id
ORDER BY a.loan_id;

-- Table loans answers what this index was for, and the primary key finds the application from there.
DROP INDEX applications_by_loan;

ALTER TABLE batches
    ADD COLUMN withdrawn_at       timestamptz,
    ADD COLUMN withdrawn_by       text,
    ADD COLUMN withdrawal_comment text,
    ADD CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL)),
    ADD CHECK ((withdrawn_at IS NULL) = (withdrawal_comment IS NULL)),
    ADD CHECK (withdrawn_at IS NULL OR NOT is_current);
COMMENT ON COLUMN batches.withdrawn_at IS 'When a person took the revision out by `withdraw`; null if it is not withdrawn';
COMMENT ON COLUMN batches.withdrawn_by IS 'Who took it out, as in audit_log.done_by';
COMMENT ON COLUMN batches.withdrawal_comment IS 'Why it was taken out';

CREATE TABLE publications (
    publication_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id       text COLLATE "C" NOT NULL,
    scoring_run_id text REFERENCES scoring_runs,
    occasion       text NOT NULL
                   CHECK (occasion IN ('scoring', 'revision', 'withdrawal', 'restoration', 'command')),
    published_by   text NOT NULL CHECK (published_by <> ''),
    published_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((scoring_run_id IS NULL) = (occasion IN ('revision', 'withdrawal')))
);
CREATE INDEX publications_by_batch ON publications (batch_id, publication_id);
CREATE TRIGGER publications_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON publications
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE publications IS 'Append-only: which scoring run of a batch readers saw from when on; see view publication_periods';
COMMENT ON COLUMN publications.publication_id IS 'Counts up; the last row of a batch says what readers see now';
COMMENT ON COLUMN publications.batch_id IS 'The batch';
COMMENT ON COLUMN publications.scoring_run_id IS 'The run whose scores readers saw from then on; null if they saw none';
COMMENT ON COLUMN publications.occasion IS 'scoring: a night or a re-score; revision: a newer revision made the scores outdated; withdrawal and restoration: the batch was taken out or back; command: a person asked for this older run';
COMMENT ON COLUMN publications.published_by IS 'Who, as in audit_log.done_by';
COMMENT ON COLUMN publications.published_at IS 'When';

CREATE VIEW publication_periods AS
    SELECT batch_id, scoring_run_id, published_at AS visible_from, visible_until, published_by, occasion
    FROM (
        SELECT p.*, lead(published_at) OVER (PARTITION BY batch_id ORDER BY publication_id)
            AS visible_until
        FROM publications AS p
    ) AS periods
    WHERE scoring_run_id IS NOT NULL;
COMMENT ON VIEW publication_periods IS 'From when until when readers saw the scores of a scoring run; visible_until is null for the run that they see now';
COMMENT ON COLUMN publication_periods.visible_from IS 'When readers began to see the run''s scores';
COMMENT ON COLUMN publication_periods.visible_until IS 'When readers ceased to see them; null if they still do';

-- Scores of a revision that is no longer current are not shown, even if nothing has replaced them yet.
UPDATE scoring_runs AS r SET is_current = false
WHERE r.is_current AND NOT EXISTS (
    SELECT FROM batches AS b
    WHERE b.batch_id = r.batch_id AND b.revision = r.revision AND b.is_current
);
INSERT INTO publications (batch_id, scoring_run_id, occasion, published_by, published_at)
SELECT batch_id, scoring_run_id, 'scoring', 'role:' || current_user, published_at
FROM scoring_runs
WHERE is_current
ORDER BY published_at;

CREATE OR REPLACE VIEW current_scores AS
    SELECT s.*
    FROM scores AS s
    JOIN scoring_runs AS r ON r.scoring_run_id = s.scoring_run_id AND r.batch_id = s.batch_id
    JOIN batches AS b ON b.batch_id = r.batch_id AND b.revision = r.revision
    WHERE r.is_current AND b.is_current;
COMMENT ON VIEW current_scores IS 'One row a loan: the scores of each batch''s current scoring run, as long as the revision that it scored is current';
