CREATE TABLE approvals (
    loan_id             loan_key NOT NULL,
    decided_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    decision            text NOT NULL CHECK (decision IN ('approve', 'decline')),
    comment             text NOT NULL CHECK (comment <> ''),
    decided_by          text NOT NULL CHECK (decided_by <> ''),
    batch_id            text COLLATE "C" NOT NULL,
    scoring_run_id      text NOT NULL REFERENCES scoring_runs,
    suggestion          text NOT NULL CHECK (suggestion IN ('review', 'refer')),
    default_probability double precision CHECK (default_probability BETWEEN 0 AND 1),
    exclusion_reason    text,
    PRIMARY KEY (loan_id, decided_at),
    CHECK ((default_probability IS NULL) = (suggestion = 'refer')),
    CHECK ((exclusion_reason IS NULL) = (suggestion = 'review'))
);
COMMENT ON TABLE approvals IS 'Append-only: a person''s decision on an application that was left to one; of several on a loan the latest counts';
COMMENT ON COLUMN approvals.loan_id IS 'The loan';
COMMENT ON COLUMN approvals.decided_at IS 'When';
COMMENT ON COLUMN approvals.decision IS 'approve or decline';
COMMENT ON COLUMN approvals.comment IS 'Why, in the words of the person';
COMMENT ON COLUMN approvals.decided_by IS 'airflow:USER';
COMMENT ON COLUMN approvals.batch_id IS 'The batch of the application';
COMMENT ON COLUMN approvals.scoring_run_id IS 'The scoring run whose score the person saw: the current one of the batch at that moment';
COMMENT ON COLUMN approvals.suggestion IS 'Decision of that score: review or refer';
COMMENT ON COLUMN approvals.default_probability IS 'Probability of that score, kept when old scores are dropped; null where it is refer';
COMMENT ON COLUMN approvals.exclusion_reason IS 'Why that score is refer';
CREATE INDEX approvals_by_batch ON approvals (batch_id, loan_id, decided_at);
CREATE TRIGGER approvals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON approvals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE audit_log (
    entry_id      bigint PRIMARY KEY CHECK (entry_id > 0),
    recorded_at   timestamptz NOT NULL,
    done_by       text NOT NULL CHECK (done_by <> ''),
    action        text NOT NULL CHECK (action <> ''),
    subject       text NOT NULL,
    details       jsonb NOT NULL,
    previous_hash text NOT NULL UNIQUE,
    hash          text NOT NULL UNIQUE
);
COMMENT ON TABLE audit_log IS 'Append-only: who did what, when. Each entry carries the hash of the one before, so that a change of one shows in all after it';
COMMENT ON COLUMN audit_log.entry_id IS 'Counts up from 1 without a gap';
COMMENT ON COLUMN audit_log.recorded_at IS 'When it was written';
COMMENT ON COLUMN audit_log.done_by IS 'airflow:USER, cli:USER (the account that ran the command), role:ROLE of the database, or policy:auto';
COMMENT ON COLUMN audit_log.action IS 'What was done, as noun.verb: promotion.promoted, approval.decline, alert.acknowledge, contract.change';
COMMENT ON COLUMN audit_log.subject IS 'What it was done to: a model version, a loan, an alert';
COMMENT ON COLUMN audit_log.details IS 'What else is to be known of it';
COMMENT ON COLUMN audit_log.previous_hash IS 'Hash of the entry before; zeros in the first';
COMMENT ON COLUMN audit_log.hash IS 'sha256 over all other columns; see audit_hash';

CREATE FUNCTION audit_hash(entry audit_log) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array(
        entry.entry_id,
        to_char(entry.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
        entry.done_by, entry.action, entry.subject, entry.details, entry.previous_hash
    )::text, 'UTF8')), 'hex')
$$;
COMMENT ON FUNCTION audit_hash IS 'What audit_log.hash has to be: sha256 of the other columns as a JSON array';

-- Number, time and hashes are the table's own, whoever inserts. The lock makes a second writer wait
-- until the first has committed: two entries never follow the same one.
CREATE FUNCTION chain_audit_entry() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    last audit_log;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(TG_TABLE_SCHEMA || ':audit_log', 0));
    SELECT * INTO last FROM audit_log ORDER BY entry_id DESC LIMIT 1;
    NEW.entry_id := coalesce(last.entry_id, 0) + 1;
    NEW.recorded_at := clock_timestamp();
    NEW.previous_hash := coalesce(last.hash, repeat('0', 64));
    NEW.hash := audit_hash(NEW);
    RETURN NEW;
END $$;
CREATE TRIGGER audit_log_chained BEFORE INSERT ON audit_log
    FOR EACH ROW EXECUTE FUNCTION chain_audit_entry();
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Partitioned by month like scores: old months are dropped, approvals and the audit log stay.
CREATE TABLE calls (
    called_on          date NOT NULL,
    call_id            uuid NOT NULL DEFAULT gen_random_uuid(),
    called_at          timestamptz NOT NULL,
    called_by          text NOT NULL CHECK (called_by <> ''),
    purpose            text NOT NULL CHECK (purpose IN ('score', 'what_if')),
    propensity_version text NOT NULL,
    personas_version   text NOT NULL,
    applications       integer NOT NULL CHECK (applications > 0),
    input              jsonb NOT NULL,
    output             jsonb NOT NULL,
    seconds            double precision NOT NULL,
    PRIMARY KEY (called_on, call_id)
) PARTITION BY RANGE (called_on);
COMMENT ON TABLE calls IS 'A scoring asked for by a person or a program, outside the nights: what went in and what came out';
COMMENT ON COLUMN calls.called_on IS 'Day of called_at in UTC';
COMMENT ON COLUMN calls.call_id IS 'Told to the caller with the answer';
COMMENT ON COLUMN calls.called_at IS 'When it was answered';
COMMENT ON COLUMN calls.called_by IS 'airflow:USER';
COMMENT ON COLUMN calls.purpose IS 'score: by the API; what_if: an application with changed inputs, at the desk';
COMMENT ON COLUMN calls.propensity_version IS 'Model of the default probability';
COMMENT ON COLUMN calls.personas_version IS 'Model of the personas';
COMMENT ON COLUMN calls.applications IS 'How many applications were asked for';
COMMENT ON COLUMN calls.input IS 'The applications as they came, a list of objects';
COMMENT ON COLUMN calls.output IS 'The scores as they were answered, in the same order';
COMMENT ON COLUMN calls.seconds IS 'Wall time of parsing and scoring';
