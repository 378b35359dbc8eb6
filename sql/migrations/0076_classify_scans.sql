-- Scanned files that were gone through, what a classifier takes each page for, and how the scanner changes
-- (docs/adr/0067).
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE scan_files (
    batch_id  text COLLATE "C" NOT NULL,
    sha256    text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    form_code text NOT NULL,
    pages     integer NOT NULL CHECK (pages >= 0),
    read_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (batch_id, sha256, form_code)
);
COMMENT ON TABLE scan_files IS 'Scanned files of which every page was looked at, so that a schedule does not open them again';
COMMENT ON COLUMN scan_files.batch_id IS 'Business date in whose folder the file lay';
COMMENT ON COLUMN scan_files.sha256 IS 'Hash of the file';
COMMENT ON COLUMN scan_files.form_code IS 'Code of the form by which it was read';
COMMENT ON COLUMN scan_files.pages IS 'Pages of the file; 0 if it cannot be opened';
COMMENT ON COLUMN scan_files.read_at IS 'When its last page was looked at';

-- A third kind of model. It has no pair and scores no loan, so view champions, by which nights are scored, leaves it out.
ALTER TABLE models DROP CONSTRAINT models_kind_check,
    ADD CONSTRAINT models_kind_check CHECK (kind IN ('propensity', 'personas', 'scans'));
ALTER TABLE promotions DROP CONSTRAINT promotions_kind_check,
    ADD CONSTRAINT promotions_kind_check CHECK (kind IN ('propensity', 'personas', 'scans'));
COMMENT ON COLUMN models.kind IS 'propensity: probability of default; personas: clusters of applicants; scans: what a scanned page is';

CREATE OR REPLACE VIEW champions AS
    SELECT DISTINCT ON (p.kind)
        p.kind, p.model_version, m.algorithm, m.metrics, m.training_data, p.evidence,
        p.decided_by AS promoted_by, p.decided_at AS promoted_at
    FROM promotions AS p
    JOIN models AS m USING (model_version)
    WHERE p.verdict = 'promoted' AND p.kind <> 'scans'
    ORDER BY p.kind, p.promotion_id DESC;
COMMENT ON VIEW champions IS 'The model version in use of each kind that scores loans, with what it was promoted on';

CREATE VIEW models_in_use AS
    SELECT DISTINCT ON (kind) kind, model_version
    FROM promotions
    WHERE verdict = 'promoted'
    ORDER BY kind, promotion_id DESC;
COMMENT ON VIEW models_in_use IS 'The model version in use of each kind, the classifier of scans among them';

ALTER TABLE scans
    ADD COLUMN page_kind text CHECK (page_kind IN ('form', 'identity_document', 'pay_slip', 'other')),
    ADD COLUMN form_score double precision CHECK (form_score BETWEEN 0 AND 1),
    ADD COLUMN classified_by text REFERENCES models;
COMMENT ON COLUMN scans.page_kind IS 'What the classifier takes the page for; null if there was no classifier';
COMMENT ON COLUMN scans.form_score IS 'Probability by the classifier that it is a form';
COMMENT ON COLUMN scans.classified_by IS 'Version of the classifier';

CREATE TABLE scanner_checks (
    batch_id      text COLLATE "C" PRIMARY KEY,
    model_version text NOT NULL REFERENCES models,
    pages         integer NOT NULL CHECK (pages > 0),
    figures       jsonb NOT NULL,
    drifted       text[] NOT NULL,
    checked_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE scanner_checks IS 'The read forms of a date, compared with the forms of the classifier''s training';
COMMENT ON COLUMN scanner_checks.batch_id IS 'Business date';
COMMENT ON COLUMN scanner_checks.model_version IS 'Classifier whose baseline it was compared with';
COMMENT ON COLUMN scanner_checks.pages IS 'Forms that were compared';
COMMENT ON COLUMN scanner_checks.figures IS 'By figure: medians, corrected PSI, KS statistic and adjusted p-value';
COMMENT ON COLUMN scanner_checks.drifted IS 'Figures that differ from training; empty if none';
COMMENT ON COLUMN scanner_checks.checked_at IS 'When it was compared last';

ALTER TABLE alerts
    DROP CONSTRAINT alerts_has_origin,
    ADD CONSTRAINT alerts_has_origin CHECK (
        scoring_run_id IS NOT NULL OR revision IS NOT NULL
        OR kind IN ('delivery', 'failure', 'landing', 'contract', 'scans')
    );
CREATE UNIQUE INDEX alerts_of_scans ON alerts (subject) WHERE kind = 'scans' AND state <> 'resolved';
COMMENT ON COLUMN alerts.kind IS 'The cause: bad_data, population, concept (see findings); quality: the batch is not as the contract expects; failure: a stage failed for good; delivery: a channel of notifications takes no message; landing: files and batches differ (see landing_findings); contract: a contract cannot be used; open_day: the open day of a stream drifts so far; scans: scanned pages wait, were refused, or differ from training';

-- As before, but the version that is replaced is found for every kind.
CREATE OR REPLACE FUNCTION record_verdicts(
    judged jsonb, given text, acting text, why text, reason text, subject text, details jsonb
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    one      record;
    row_id   bigint;
    recorded jsonb := '[]';
BEGIN
    PERFORM refuse_other_role(acting);
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || ':promotions', 0));
    FOR one IN
        SELECT m.kind, m.model_version, j.evidence,
               (SELECT c.model_version FROM models_in_use AS c WHERE c.kind = m.kind) AS champion
        FROM jsonb_to_recordset(judged) AS j (model_version text, evidence jsonb)
        JOIN models AS m USING (model_version)
        ORDER BY m.kind DESC
    LOOP
        IF given = 'promoted' AND acting LIKE 'policy:%'
           AND one.evidence @? '$.gates[*] ? (!(@.passed == true))' THEN
            RAISE EXCEPTION '% failed a gate, so the policy cannot promote it', one.model_version
                USING ERRCODE = 'check_violation';
        END IF;
        INSERT INTO promotions AS p
            (kind, model_version, verdict, replaces, evidence, decided_by, occasion, comment)
        VALUES (one.kind, one.model_version, given, one.champion, one.evidence, acting, why, reason)
        RETURNING p.promotion_id INTO row_id;
        recorded := recorded || seal_record('promotion', row_id);
    END LOOP;
    IF recorded = '[]' THEN
        RAISE EXCEPTION 'no model is named' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO audit_log (done_by, action, subject, details)
    VALUES (acting, 'promotion.' || CASE WHEN why = 'rollback' THEN why ELSE given END,
            record_verdicts.subject,
            record_verdicts.details || jsonb_build_object('records', recorded));
END $$;
