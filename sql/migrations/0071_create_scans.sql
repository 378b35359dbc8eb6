-- Pages of scanned application forms, and what persons corrected. The pictures stay in the landing folder: here is only
-- their path and hash (docs/adr/0066).
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE scans (
    scan_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id   text COLLATE "C" NOT NULL CHECK (batch_id ~ '^\d{4}-\d{2}-\d{2}$'),
    file_name  text NOT NULL CHECK (file_name <> ''),
    sha256     text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    page       integer NOT NULL CHECK (page >= 0),
    form_code  text NOT NULL,
    state      text NOT NULL CHECK (state IN ('passed', 'waiting', 'corrected', 'refused')),
    reason     text,
    loan_id    loan_key,
    fields     jsonb NOT NULL DEFAULT '{}',
    doubtful   text[] NOT NULL DEFAULT '{}',
    quality    jsonb NOT NULL DEFAULT '{}',
    read_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state = 'refused') = (reason IS NOT NULL)),
    CHECK ((state = 'waiting') = (cardinality(doubtful) > 0))
);
CREATE INDEX scans_of_batch ON scans (batch_id, file_name, page, scan_id);
COMMENT ON TABLE scans IS 'Pages of scanned forms: readings, and whether a page is certain. Of several rows of a page the last counts';
COMMENT ON COLUMN scans.scan_id IS 'Counts up';
COMMENT ON COLUMN scans.batch_id IS 'Business date in whose folder the file lay';
COMMENT ON COLUMN scans.file_name IS 'Name of the file in landing/PORTFOLIO/scans/DATE';
COMMENT ON COLUMN scans.sha256 IS 'Hash of the file';
COMMENT ON COLUMN scans.page IS 'Page of the file from 1; 0: the whole file';
COMMENT ON COLUMN scans.form_code IS 'Code of the form by which it was read';
COMMENT ON COLUMN scans.state IS 'passed: certain; waiting: a person must look at doubtful fields; corrected: a person did; refused: cannot be read';
COMMENT ON COLUMN scans.reason IS 'Why it is refused; null otherwise';
COMMENT ON COLUMN scans.loan_id IS 'Key of the application, with corrections; null if it cannot be read. An erasure deletes the row';
COMMENT ON COLUMN scans.fields IS 'By column: text with corrections, what was read, confidence, cost of the level, doubts';
COMMENT ON COLUMN scans.doubtful IS 'Columns that a person must still look at';
COMMENT ON COLUMN scans.quality IS 'Resolution, contrast, width of edges and angle of the scan';
COMMENT ON COLUMN scans.read_at IS 'When it was read';

CREATE TABLE scan_corrections (
    correction_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scan_id       bigint NOT NULL REFERENCES scans (scan_id) ON DELETE CASCADE,
    column_name   text NOT NULL CHECK (column_name <> ''),
    before        text NOT NULL,
    after         text NOT NULL,
    corrected_by  text NOT NULL CHECK (corrected_by <> ''),
    corrected_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX scan_corrections_of_scan ON scan_corrections (scan_id);
CREATE TRIGGER scan_corrections_unchanged BEFORE UPDATE OR TRUNCATE ON scan_corrections
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE scan_corrections IS 'What a person made of a doubtful field. Only function correct_scan writes it; rows go with their scan';
COMMENT ON COLUMN scan_corrections.correction_id IS 'Counts up';
COMMENT ON COLUMN scan_corrections.scan_id IS 'The page';
COMMENT ON COLUMN scan_corrections.column_name IS 'Column of the contract';
COMMENT ON COLUMN scan_corrections.before IS 'Text before, as the reader or an earlier correction had it';
COMMENT ON COLUMN scan_corrections.after IS 'Text after; equal to before if the person confirmed the reading';
COMMENT ON COLUMN scan_corrections.corrected_by IS 'Who: airflow:USER or cli:USER';
COMMENT ON COLUMN scan_corrections.corrected_at IS 'When, by the clock of the database';

CREATE TABLE scan_deliveries (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id    text COLLATE "C" NOT NULL,
    file_name   text NOT NULL,
    sha256      text NOT NULL,
    rows        integer NOT NULL CHECK (rows > 0),
    landed_by   text NOT NULL CHECK (landed_by <> ''),
    landed_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX scan_deliveries_of_batch ON scan_deliveries (batch_id, delivery_id);
CREATE TRIGGER scan_deliveries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON scan_deliveries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE scan_deliveries IS 'Append-only: files of applications that were written from scanned pages';
COMMENT ON COLUMN scan_deliveries.delivery_id IS 'Counts up';
COMMENT ON COLUMN scan_deliveries.batch_id IS 'Batch of the file';
COMMENT ON COLUMN scan_deliveries.file_name IS 'Name of the file in landing/PORTFOLIO/applications';
COMMENT ON COLUMN scan_deliveries.sha256 IS 'Hash of the file, so that another delivery of the date is never replaced';
COMMENT ON COLUMN scan_deliveries.rows IS 'Applications in it';
COMMENT ON COLUMN scan_deliveries.landed_by IS 'Who: airflow:DAG or cli:USER';
COMMENT ON COLUMN scan_deliveries.landed_at IS 'When';

-- The caller has checked the texts against the contract. Who, when and the text before are the database's.
CREATE FUNCTION correct_scan(scan bigint, texts jsonb, seen jsonb, loan loan_key, acting text)
RETURNS scans
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    found scans;
    name  text;
BEGIN
    PERFORM refuse_other_role(acting);
    SELECT * INTO found FROM scans AS s WHERE s.scan_id = scan FOR UPDATE;
    IF found.scan_id IS NULL OR found.state NOT IN ('waiting', 'corrected') THEN
        RAISE EXCEPTION 'scan % does not wait for a person', scan USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM scans AS s WHERE s.batch_id = found.batch_id
               AND s.file_name = found.file_name AND s.page = found.page AND s.scan_id > scan) THEN
        RAISE EXCEPTION 'scan %: the page was read again since; open the newest', scan
            USING ERRCODE = 'check_violation';
    END IF;
    FOR name IN SELECT jsonb_object_keys(texts) LOOP
        IF NOT found.fields ? name THEN
            RAISE EXCEPTION 'scan % has no field %', scan, name USING ERRCODE = 'check_violation';
        END IF;
        IF found.fields -> name ->> 'text' IS DISTINCT FROM seen ->> name THEN
            RAISE EXCEPTION 'scan %: % was corrected meanwhile; open the page again', scan, name
                USING ERRCODE = 'check_violation';
        END IF;
        INSERT INTO scan_corrections (scan_id, column_name, before, after, corrected_by)
        VALUES (scan, name, found.fields -> name ->> 'text', texts ->> name, acting);
        found.fields := jsonb_set(found.fields, ARRAY[name, 'text'], texts -> name);
        found.doubtful := array_remove(found.doubtful, name);
    END LOOP;
    UPDATE scans AS s
    SET fields = found.fields, doubtful = found.doubtful, loan_id = loan,
        state = CASE WHEN cardinality(found.doubtful) = 0 THEN 'corrected' ELSE 'waiting' END
    WHERE s.scan_id = scan
    RETURNING s.* INTO found;
    -- Values are personal data, so the log has none: scan_corrections has them as long as the page is kept.
    INSERT INTO audit_log (done_by, action, subject, details)
    VALUES (acting, 'scan.correct', 'scan ' || scan,
            jsonb_build_object('columns', (SELECT jsonb_agg(k) FROM jsonb_object_keys(texts) AS k),
                               'file', found.file_name, 'sha256', found.sha256, 'page', found.page));
    RETURN found;
END $$;
COMMENT ON FUNCTION correct_scan IS 'Correct or confirm fields of a scanned page in the name of a person';

-- Entries scan.* are written by the function above only.
CREATE OR REPLACE FUNCTION record_audit_entry(acting text, action text, subject text, details jsonb)
RETURNS TABLE (entry_id bigint, recorded_at timestamptz, hash text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
BEGIN
    PERFORM refuse_other_role(acting);
    IF record_audit_entry.action ~ '^(approval|batch|contract|model|partition|portfolio|promotion|rights|scan|scores)\.'
       AND record_audit_entry.action <> 'promotion.denied'
       AND NOT pg_has_role(session_user, current_user, 'USAGE') THEN
        RAISE EXCEPTION 'entries % are written by the function that does the action', action
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN QUERY
        INSERT INTO audit_log AS a (done_by, action, subject, details)
        VALUES (acting, record_audit_entry.action, record_audit_entry.subject,
                record_audit_entry.details)
        RETURNING a.entry_id, a.recorded_at, a.hash;
END $$;
