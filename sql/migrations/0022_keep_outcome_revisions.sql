-- Outcomes are revisions: `outcomes` shows the newest statement on each loan, the tables below keep
-- every statement and every change of what counts (docs/adr/0030).
CREATE TABLE outcome_changes (
    change_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    change     text NOT NULL CHECK (change IN ('taken', 'corrected', 'withdrawn', 'restored')),
    drop_id    text COLLATE "C" NOT NULL,
    revision   integer NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_by text CHECK (changed_by <> ''),
    comment    text CHECK (comment <> ''),
    FOREIGN KEY (drop_id, revision) REFERENCES outcome_drops,
    CHECK (change NOT IN ('withdrawn', 'restored') OR changed_by IS NOT NULL AND comment IS NOT NULL)
);
CREATE INDEX outcome_changes_by_drop ON outcome_changes (drop_id, revision, change_id);
CREATE TRIGGER outcome_changes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON outcome_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE outcome_changes IS 'Append-only: when which file of outcomes began or ceased to count. The last change_id says as of when outcomes were read';
COMMENT ON COLUMN outcome_changes.change_id IS 'Counts up in the order of the changes';
COMMENT ON COLUMN outcome_changes.change IS 'taken: a file was ingested; corrected: a correction file was ingested; withdrawn: the file was taken out; restored: the withdrawal was undone';
COMMENT ON COLUMN outcome_changes.drop_id IS 'The file of outcomes';
COMMENT ON COLUMN outcome_changes.revision IS 'The revision of the file';
COMMENT ON COLUMN outcome_changes.changed_at IS 'When';
COMMENT ON COLUMN outcome_changes.changed_by IS 'Who: cli:USER or airflow:DAG; null for a file that is not a correction';
COMMENT ON COLUMN outcome_changes.comment IS 'Why, in the words of the person; null if nobody gave a reason';

-- The foreign key to outcome_changes is left out: it would be checked for each of many rows, and both
-- tables are append-only.
CREATE TABLE outcome_revisions (
    loan_id     loan_key NOT NULL,
    change_id   bigint NOT NULL,
    is_default  boolean NOT NULL,
    observed_on date,
    drop_id     text COLLATE "C" NOT NULL,
    revision    integer NOT NULL
);
CREATE INDEX outcome_revisions_by_loan ON outcome_revisions (loan_id);
CREATE INDEX outcome_revisions_by_change ON outcome_revisions (change_id);
CREATE TRIGGER outcome_revisions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON outcome_revisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE outcome_revisions IS 'Append-only: every accepted statement of a file on the outcome of a loan; view outcome_history says which one counts';
COMMENT ON COLUMN outcome_revisions.loan_id IS 'The loan';
COMMENT ON COLUMN outcome_revisions.change_id IS 'The row of outcome_changes that ingested the file; the greater one is the later statement';
COMMENT ON COLUMN outcome_revisions.is_default IS 'Whether the file says that the loan defaulted; false is paid';
COMMENT ON COLUMN outcome_revisions.observed_on IS 'Date on which this was known; null, the oldest, if the file does not say, as for the history';
COMMENT ON COLUMN outcome_revisions.drop_id IS 'The file of outcomes';
COMMENT ON COLUMN outcome_revisions.revision IS 'The revision of the file';

CREATE TABLE outcome_changes_by_batch (
    batch_id  text COLLATE "C" NOT NULL,
    change_id bigint NOT NULL REFERENCES outcome_changes,
    loans     integer NOT NULL CHECK (loans > 0),
    PRIMARY KEY (batch_id, change_id)
);
CREATE TRIGGER outcome_changes_by_batch_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON outcome_changes_by_batch
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE outcome_changes_by_batch IS 'Append-only: scored batches in which a change gave loans another outcome or took it away; their performance is measured again';
COMMENT ON COLUMN outcome_changes_by_batch.batch_id IS 'The batch';
COMMENT ON COLUMN outcome_changes_by_batch.change_id IS 'The change';
COMMENT ON COLUMN outcome_changes_by_batch.loans IS 'Loans of the batch whose outcome was another one, or known, before the change';

-- 0.1.0 named the labels of the history after the file. Now they are one file, whatever its name, so
-- that a mended file replaces them.
INSERT INTO outcome_drops (drop_id, revision, source, sha256, received, accepted, quarantined, landed_at)
SELECT 'outcomes-history', row_number() OVER (ORDER BY d.landed_at, d.drop_id, d.revision),
       d.source, d.sha256, d.received, d.accepted, d.quarantined, d.landed_at
FROM outcome_drops AS d
WHERE d.sha256 IN (SELECT sha256 FROM batches WHERE batch_id = 'history')
  AND NOT EXISTS (SELECT FROM outcome_drops WHERE drop_id = 'outcomes-history');
CREATE TEMPORARY TABLE renamed_drops ON COMMIT DROP AS
SELECT d.drop_id, d.revision, h.revision AS history_revision
FROM outcome_drops AS d
JOIN outcome_drops AS h
    ON h.drop_id = 'outcomes-history' AND h.sha256 = d.sha256 AND h.landed_at = d.landed_at
WHERE d.drop_id <> 'outcomes-history';
UPDATE outcomes AS o
SET drop_id = 'outcomes-history', revision = r.history_revision
FROM renamed_drops AS r
WHERE (o.drop_id, o.revision) = (r.drop_id, r.revision);
UPDATE quarantine AS q
SET batch_id = 'outcomes-history', revision = r.history_revision
FROM renamed_drops AS r
WHERE (q.batch_id, q.revision) = (r.drop_id, r.revision);
DELETE FROM outcome_drops AS d
USING renamed_drops AS r
WHERE (d.drop_id, d.revision) = (r.drop_id, r.revision);

-- 0.1.0 kept one statement a loan and did not record which loans a later revision of the file named
-- again. Its newest revision is taken to say what an earlier one said.
UPDATE outcomes AS o
SET revision = d.newest
FROM (SELECT drop_id, max(revision) AS newest FROM outcome_drops GROUP BY drop_id) AS d
WHERE d.drop_id = o.drop_id AND o.revision < d.newest;
INSERT INTO outcome_changes (change, drop_id, revision, changed_at)
SELECT 'taken', drop_id, revision, landed_at
FROM outcome_drops
ORDER BY landed_at, drop_id, revision;
INSERT INTO outcome_revisions (loan_id, change_id, is_default, observed_on, drop_id, revision)
SELECT o.loan_id, c.change_id, o.is_default, o.observed_on, o.drop_id, o.revision
FROM outcomes AS o
JOIN outcome_changes AS c USING (drop_id, revision);

CREATE VIEW outcome_files AS
    SELECT
        t.drop_id, t.revision, t.change_id, t.change = 'corrected' AS is_correction,
        CASE WHEN l.change = 'withdrawn' THEN 'withdrawn'
             WHEN t.revision < max(t.revision) OVER (PARTITION BY t.drop_id) THEN 'replaced'
             ELSE 'current' END AS state,
        t.changed_at AS taken_at, l.changed_at, l.changed_by, l.comment
    FROM outcome_changes AS t
    CROSS JOIN LATERAL (
        SELECT e.change, e.changed_at, e.changed_by, e.comment
        FROM outcome_changes AS e
        WHERE e.drop_id = t.drop_id AND e.revision = t.revision
        ORDER BY e.change_id DESC
        LIMIT 1
    ) AS l
    WHERE t.change IN ('taken', 'corrected');
COMMENT ON VIEW outcome_files IS 'One row a revision of a file of outcomes: whether its statements count';
COMMENT ON COLUMN outcome_files.change_id IS 'The row of outcome_changes that ingested it';
COMMENT ON COLUMN outcome_files.is_correction IS 'Whether it is a correction, which overrules every earlier statement on its loans';
COMMENT ON COLUMN outcome_files.state IS 'current; replaced: by a later revision of the file; withdrawn: by a person';
COMMENT ON COLUMN outcome_files.taken_at IS 'When it was ingested';
COMMENT ON COLUMN outcome_files.changed_at IS 'When its last change was: ingested, withdrawn or restored';
COMMENT ON COLUMN outcome_files.changed_by IS 'Who made its last change; null for a file that is not a correction';
COMMENT ON COLUMN outcome_files.comment IS 'Why, in the words of the person; null if nobody gave a reason';

CREATE VIEW outcome_history AS
    SELECT
        s.loan_id, s.is_default, s.observed_on, s.drop_id, s.revision, f.is_correction,
        CASE WHEN f.state <> 'current' THEN f.state
             WHEN o.loan_id IS NULL THEN 'overruled'
             ELSE 'current' END AS state,
        s.change_id, f.taken_at, f.changed_at, f.changed_by, f.comment
    FROM outcome_revisions AS s
    JOIN outcome_files AS f USING (change_id)
    LEFT JOIN outcomes AS o
        ON o.loan_id = s.loan_id AND o.drop_id = s.drop_id AND o.revision = s.revision
       AND o.observed_on IS NOT DISTINCT FROM s.observed_on;
COMMENT ON VIEW outcome_history IS 'Every statement on the outcome of a loan, and whether it counts';
COMMENT ON COLUMN outcome_history.is_correction IS 'Whether the file is a correction, which overrules every earlier statement on its loans';
COMMENT ON COLUMN outcome_history.state IS 'current: it is in outcomes; overruled: a newer statement or a correction counts; replaced: by a later revision of the file; withdrawn: with the file';
COMMENT ON COLUMN outcome_history.taken_at IS 'When the file was ingested';
COMMENT ON COLUMN outcome_history.changed_at IS 'When the last change of the file was: ingested, withdrawn or restored';
COMMENT ON COLUMN outcome_history.changed_by IS 'Who made that change; null for a file that is not a correction';
COMMENT ON COLUMN outcome_history.comment IS 'Why, in the words of the person; null if nobody gave a reason';

CREATE FUNCTION outcomes_as_of(moment timestamptz) RETURNS SETOF outcomes
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    WITH current_files AS (
        SELECT t.change_id, t.change = 'corrected' AS is_correction
        FROM (SELECT DISTINCT ON (drop_id) drop_id, revision, change
              FROM outcome_changes
              WHERE changed_at <= moment
              ORDER BY drop_id, revision DESC, change_id DESC) AS l
        JOIN outcome_changes AS t USING (drop_id, revision)
        WHERE l.change <> 'withdrawn' AND t.change IN ('taken', 'corrected')
    ), stated AS (
        SELECT s.*,
               max(s.change_id) FILTER (WHERE f.is_correction) OVER (PARTITION BY s.loan_id)
                   AS corrected_by
        FROM outcome_revisions AS s
        JOIN current_files AS f USING (change_id)
    )
    SELECT DISTINCT ON (loan_id) loan_id, is_default, observed_on, drop_id, revision
    FROM stated
    WHERE change_id >= coalesce(corrected_by, 0)
    ORDER BY loan_id, observed_on DESC NULLS LAST, change_id DESC
$$;
COMMENT ON FUNCTION outcomes_as_of IS 'The rows that table outcomes had at a moment';

COMMENT ON TABLE outcomes IS 'What became of a loan: the newest statement on it; outcome_revisions keeps all of them';
COMMENT ON COLUMN outcomes.drop_id IS 'The file of outcomes that says so';
COMMENT ON COLUMN outcome_drops.drop_id IS 'outcomes- and the file''s name without its endings; for a correction file with .correction at the end';
COMMENT ON COLUMN outcome_drops.revision IS 'Counts up by drop_id: another file of that name, or the same one judged anew. What an earlier revision said counts no more';

ALTER TABLE performance ADD COLUMN outcomes_change_id bigint REFERENCES outcome_changes;
COMMENT ON COLUMN performance.outcomes_change_id IS 'Realised metrics: the last change of outcomes when they were measured; null for estimated ones, and if a release measured that did not record it';

CREATE OR REPLACE VIEW performance_by_batch AS
    SELECT
        r.batch_id, r.scoring_run_id, r.propensity_version, r.scored,
        CASE WHEN m.realised_loans IS NULL THEN 'unknown' ELSE 'realised' END AS state,
        m.*,
        (SELECT c.changed_at
         FROM performance AS p
         JOIN outcome_changes AS c ON c.change_id = p.outcomes_change_id
         WHERE p.scoring_run_id = r.scoring_run_id AND p.segment = 'all'
           AND p.metric = 'default_rate' AND p.basis = 'realised') AS outcomes_as_of
    FROM scoring_runs AS r
    CROSS JOIN LATERAL (
        SELECT
            max(p.loans) FILTER (WHERE metric = 'default_rate' AND is_realised) AS realised_loans,
            max(value) FILTER (WHERE metric = 'auc' AND is_estimated) AS estimated_auc,
            max(lower) FILTER (WHERE metric = 'auc' AND is_estimated) AS estimated_auc_lower,
            max(upper) FILTER (WHERE metric = 'auc' AND is_estimated) AS estimated_auc_upper,
            max(value) FILTER (WHERE metric = 'auc' AND is_realised) AS realised_auc,
            max(lower) FILTER (WHERE metric = 'auc' AND is_realised) AS realised_auc_lower,
            max(upper) FILTER (WHERE metric = 'auc' AND is_realised) AS realised_auc_upper,
            max(baseline) FILTER (WHERE metric = 'auc') AS baseline_auc,
            max(value) FILTER (WHERE metric = 'default_rate' AND is_estimated)
                AS estimated_default_rate,
            max(value) FILTER (WHERE metric = 'default_rate' AND is_realised)
                AS realised_default_rate,
            max(baseline) FILTER (WHERE metric = 'default_rate') AS baseline_default_rate,
            max(value) FILTER (WHERE metric = 'calibration_slope' AND is_realised)
                AS realised_calibration_slope,
            max(value) FILTER (WHERE metric = 'ddm') AS ddm,
            max(value) FILTER (WHERE metric = 'approval_rate') AS approval_rate,
            max(value) FILTER (WHERE metric = 'loss' AND is_estimated) AS expected_loss,
            max(value) FILTER (WHERE metric = 'loss' AND is_realised) AS realised_loss,
            max(value) FILTER (WHERE metric = 'loss_of_approved' AND is_estimated)
                AS expected_loss_of_approved,
            max(value) FILTER (WHERE metric = 'loss_of_approved' AND is_realised)
                AS realised_loss_of_approved
        FROM performance AS p
        CROSS JOIN LATERAL (
            SELECT p.basis = 'realised' AS is_realised, p.basis = 'estimated' AS is_estimated
        ) AS told
        WHERE p.scoring_run_id = r.scoring_run_id AND p.segment = 'all'
    ) AS m
    WHERE r.is_current;
COMMENT ON COLUMN performance_by_batch.outcomes_as_of IS 'When outcomes had last changed before the realised figures were measured; null where there are none';
