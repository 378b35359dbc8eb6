-- Functions of the owner that write the steps of a decision, and who works on an application (docs/adr/0057).
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE claims (
    claim_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    loan_id     loan_key NOT NULL,
    batch_id    text COLLATE "C" NOT NULL,
    assigned_to text CHECK (assigned_to <> ''),
    assigned_by text NOT NULL CHECK (assigned_by <> ''),
    assigned_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX claims_in_order ON claims (batch_id, loan_id, claim_id);
CREATE TRIGGER claims_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON claims
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE claims IS 'Append-only: who works on an application; of several rows on a loan of a batch the last counts. Functions of the owner write it';
COMMENT ON COLUMN claims.claim_id IS 'Counts up';
COMMENT ON COLUMN claims.loan_id IS 'The loan; after an erasure its pseudonym, see erasures';
COMMENT ON COLUMN claims.batch_id IS 'The batch of the application';
COMMENT ON COLUMN claims.assigned_to IS 'airflow:USER who works on it from then on; null if nobody does';
COMMENT ON COLUMN claims.assigned_by IS 'airflow:USER who claimed, assigned, gave back or decided it';
COMMENT ON COLUMN claims.assigned_at IS 'When, by the clock of the database';

CREATE VIEW desk_claims AS
    SELECT DISTINCT ON (batch_id, loan_id) batch_id, loan_id, assigned_to, assigned_by, assigned_at
    FROM claims
    ORDER BY batch_id, loan_id, claim_id DESC;
COMMENT ON VIEW desk_claims IS 'Who works on an application now';

-- One decision shares the first lock, many at once hold it alone: they need no lock for each loan.
CREATE FUNCTION lock_application(loan loan_key) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended(current_schema() || ':approvals', 0));
    PERFORM pg_advisory_xact_lock(
        hashtextextended(current_schema() || ':approval:' || loan::text, 0));
END $$;
COMMENT ON FUNCTION lock_application IS 'Wait until no other transaction decides, undoes or claims the loan';

-- Suggestion, probability, amount, run, time and whether a second person is needed are those of the database,
-- not of the caller. The caller holds the lock.
CREATE FUNCTION write_decision(
    loan loan_key, decided text, reason text, acting text, seen_run text, seen_step bigint,
    standard text, up_to double precision, appeals boolean
) RETURNS approvals
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    score    record;
    rules    desk_rules;
    before   approvals;
    holder   text;
    sought   double precision;
    awaits   boolean := false;
    first_id bigint;
    written  approvals;
BEGIN
    PERFORM refuse_other_role(acting);
    SELECT s.batch_id, s.scoring_run_id, s.decision, s.default_probability, s.exclusion_reason,
           r.revision
    INTO score
    FROM scores AS s
    JOIN scoring_runs AS r
        ON r.scoring_run_id = s.scoring_run_id AND r.batch_id = s.batch_id AND r.is_current
    WHERE s.loan_id = loan
    ORDER BY s.batch_id DESC
    LIMIT 1;
    IF score.scoring_run_id IS NULL OR score.scoring_run_id IS DISTINCT FROM seen_run
       OR (score.decision IN ('review', 'refer')) = appeals THEN
        RAISE EXCEPTION 'loan % has no score of run % that is left to %', loan, seen_run,
            CASE WHEN appeals THEN 'an appeal' ELSE 'a person' END
            USING ERRCODE = 'check_violation';
    END IF;
    IF decided NOT IN ('approve', 'decline', 'documents') THEN
        RAISE EXCEPTION 'loan %: % is no decision', loan, decided USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO before FROM standing_approvals AS a
    WHERE a.loan_id = loan ORDER BY a.approval_id DESC LIMIT 1;
    IF coalesce(before.approval_id, 0) <> seen_step THEN  -- null: not checked
        RAISE EXCEPTION 'loan % was decided meanwhile by %; open the application again', loan,
            coalesce(before.decided_by, 'someone who undid it') USING ERRCODE = 'check_violation';
    END IF;
    SELECT c.assigned_to INTO holder FROM claims AS c
    WHERE c.batch_id = score.batch_id AND c.loan_id = loan ORDER BY c.claim_id DESC LIMIT 1;
    IF holder <> acting THEN
        RAISE EXCEPTION 'loan % is claimed by %; take it over first', loan, holder
            USING ERRCODE = 'check_violation';
    END IF;
    IF decided = 'documents' AND before.scoring_run_id = seen_run AND before.decision <> 'documents'
       AND NOT before.awaits_second THEN
        RAISE EXCEPTION 'loan % is decided; undo the decision before you ask for documents', loan
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO rules FROM desk_rules;
    IF rules.amount_column IS NOT NULL THEN
        EXECUTE format('SELECT %I::double precision FROM applications'
                       ' WHERE batch_id = $1 AND revision = $2 AND loan_id = $3', rules.amount_column)
        INTO sought USING score.batch_id, score.revision, loan;
    END IF;
    IF up_to IS NOT NULL AND (sought IS NULL OR up_to > sought) THEN
        RAISE EXCEPTION 'loan %: approve up to %, but the amount applied for is %', loan, up_to,
            coalesce(sought::text, 'not known') USING ERRCODE = 'check_violation';
    END IF;
    -- An amount that is not known is not known to be small.
    IF decided <> 'documents' AND rules.four_eyes_above IS NOT NULL
       AND (sought IS NULL OR sought > rules.four_eyes_above) THEN
        IF before.awaits_second AND before.scoring_run_id = seen_run
           AND before.decision = decided AND before.approved_up_to IS NOT DISTINCT FROM up_to THEN
            IF lower(before.decided_by) = lower(acting) THEN
                RAISE EXCEPTION 'four eyes: % decided first on loan %; another person must confirm',
                    before.decided_by, loan USING ERRCODE = 'check_violation';
            END IF;
            first_id := before.approval_id;
        ELSE
            awaits := true;
        END IF;
    END IF;
    INSERT INTO approvals AS a
        (loan_id, decision, comment, decided_by, batch_id, scoring_run_id, suggestion,
         default_probability, exclusion_reason, standard_reason, amount, approved_up_to,
         awaits_second, confirms, after_publication)
    VALUES
        (loan, decided, reason, acting, score.batch_id, score.scoring_run_id, score.decision,
         score.default_probability, score.exclusion_reason, standard, sought, up_to, awaits, first_id,
         (SELECT coalesce(max(publication_id), 0) FROM publications))
    RETURNING * INTO written;
    IF holder IS NOT NULL AND decided <> 'documents' THEN
        INSERT INTO claims (loan_id, batch_id, assigned_by) VALUES (loan, score.batch_id, acting);
    END IF;
    INSERT INTO audit_log (done_by, action, subject, details)
    VALUES (acting, 'approval.' || decided, 'loan ' || loan::text,
            to_jsonb(score) - 'revision' || jsonb_build_object(
                'comment', reason,
                'records', jsonb_build_array(seal_record('approval', written.approval_id)),
                'replaces', CASE WHEN before.approval_id IS NOT NULL THEN jsonb_build_object(
                    'decided_at', before.decided_at, 'decision', before.decision,
                    'decided_by', before.decided_by) END)
            || jsonb_strip_nulls(jsonb_build_object(
                'standard_reason', standard, 'approved_up_to', up_to, 'amount', sought,
                'confirms', first_id, 'awaits_second', nullif(awaits, false),
                'is_appeal', nullif(appeals, false))));
    RETURN written;
END $$;
COMMENT ON FUNCTION write_decision IS 'Write one step of a decision and its entry in the audit log';

CREATE FUNCTION decide_application(
    loan loan_key, decided text, reason text, acting text, seen_run text, seen_step bigint,
    standard text, up_to double precision, appeals boolean
) RETURNS TABLE (
    approval_id bigint, decided_at timestamptz, awaits_second boolean, confirms bigint,
    replaced_id bigint, replaced_decision text, replaced_by text, replaced_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    before approvals;
BEGIN
    PERFORM lock_application(loan);
    SELECT * INTO before FROM standing_approvals AS a
    WHERE a.loan_id = loan ORDER BY a.approval_id DESC LIMIT 1;
    RETURN QUERY SELECT w.approval_id, w.decided_at, w.awaits_second, w.confirms,
        before.approval_id, before.decision, before.decided_by, before.decided_at
    FROM write_decision(loan, decided, reason, acting, seen_run, seen_step, standard, up_to,
                        appeals) AS w;
END $$;
COMMENT ON FUNCTION decide_application IS 'Record a person''s decision, or that documents are wanted, on the current score of a loan, with its entry in the audit log. seen_step is the approval_id of the last step that the person saw, 0 if there was none, null if that is not checked';

-- Programs of the earlier release call it. The rules are the same.
CREATE OR REPLACE FUNCTION record_approval(
    loan loan_key, decided text, reason text, acting text, seen_run text
) RETURNS TABLE (approval_id bigint, decided_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM lock_application(loan);
    RETURN QUERY SELECT w.approval_id, w.decided_at
    FROM write_decision(loan, decided, reason, acting, seen_run,
        NULL, NULL, NULL, false) AS w;
END $$;
COMMENT ON FUNCTION record_approval IS 'As decide_application, for programs of an earlier release';

CREATE FUNCTION open_referrals(run text, exclusion text) RETURNS SETOF loan_key
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
DECLARE
    batch CONSTANT text := (SELECT r.batch_id FROM scoring_runs AS r
                            WHERE r.scoring_run_id = run AND r.is_current);
BEGIN
    RETURN QUERY
    SELECT s.loan_id
    FROM scores AS s
    WHERE s.batch_id = batch AND s.scoring_run_id = run
      AND s.decision = 'refer' AND s.exclusion_reason = exclusion
      AND s.loan_id NOT IN (SELECT a.loan_id FROM standing_approvals AS a
                            WHERE a.batch_id = batch AND a.scoring_run_id = run)
      AND s.loan_id NOT IN (SELECT c.loan_id FROM desk_claims AS c
                            WHERE c.batch_id = batch AND c.assigned_to IS NOT NULL)
    ORDER BY s.loan_id;
END $$;
COMMENT ON FUNCTION open_referrals IS 'Return the loans of a run that were referred for a reason, and on which nobody works or worked';

CREATE FUNCTION decide_referrals(
    run text, exclusion text, decided text, reason text, acting text, standard text,
    seen_loans bigint
) RETURNS TABLE (loans bigint, awaiting bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    found   text[];
    each    text;
    written approvals;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || ':approvals', 0));
    found := ARRAY(SELECT r::text FROM open_referrals(run, exclusion) AS r);
    IF cardinality(found) <> seen_loans THEN
        RAISE EXCEPTION '% applications of run % wait for this decision, not %; look at them again',
            cardinality(found), run, seen_loans USING ERRCODE = 'check_violation';
    END IF;
    loans := 0;
    awaiting := 0;
    FOREACH each IN ARRAY found LOOP
        written := write_decision(each::loan_key, decided, reason, acting, run, NULL,
            standard, NULL, false);
        loans := loans + 1;
        awaiting := awaiting + written.awaits_second::integer;
    END LOOP;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION decide_referrals IS 'Decide all applications of a run that were referred for one reason, with one comment: all of them, or none. Return how many, and how many of them await a second person';

CREATE FUNCTION undo_decision(step bigint, acting text)
RETURNS TABLE (loan_id text, decision text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    undone approvals;
    last   bigint;
    within integer;
    number bigint;
BEGIN
    PERFORM refuse_other_role(acting);
    SELECT * INTO undone FROM approvals AS a WHERE a.approval_id = step;
    IF undone.approval_id IS NULL THEN
        RAISE EXCEPTION 'there is no decision %', step USING ERRCODE = 'check_violation';
    END IF;
    PERFORM lock_application(undone.loan_id);
    SELECT a.approval_id INTO last FROM standing_approvals AS a
    WHERE a.loan_id = undone.loan_id ORDER BY a.approval_id DESC LIMIT 1;
    IF last IS DISTINCT FROM step THEN
        RAISE EXCEPTION 'loan %: this decision is not the last one, or is undone already',
            undone.loan_id USING ERRCODE = 'check_violation';
    END IF;
    IF undone.decided_by <> acting THEN
        RAISE EXCEPTION 'loan %: only % can undo this decision; decide anew instead',
            undone.loan_id, undone.decided_by USING ERRCODE = 'check_violation';
    END IF;
    SELECT r.undo_minutes INTO within FROM desk_rules AS r;
    IF undone.after_publication IS NULL
       OR EXISTS (SELECT FROM publications AS p
                  WHERE p.publication_id > undone.after_publication AND p.scoring_run_id IS NOT NULL)
    THEN
        RAISE EXCEPTION 'loan %: scores were published since, so this decision cannot be undone; '
            'decide anew', undone.loan_id USING ERRCODE = 'check_violation';
    END IF;
    IF clock_timestamp() > undone.decided_at + make_interval(mins => within) THEN
        RAISE EXCEPTION 'loan %: a decision can be undone for % minutes; decide anew',
            undone.loan_id, within USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO approvals
        (loan_id, decision, comment, decided_by, batch_id, scoring_run_id, suggestion,
         default_probability, exclusion_reason, undoes, after_publication)
    VALUES
        (undone.loan_id, 'undo', 'undone', acting, undone.batch_id, undone.scoring_run_id,
         undone.suggestion, undone.default_probability, undone.exclusion_reason, step,
         undone.after_publication)
    RETURNING approvals.approval_id INTO number;
    INSERT INTO audit_log (done_by, action, subject, details)
    VALUES (acting, 'approval.undo', 'loan ' || undone.loan_id::text, jsonb_build_object(
        'undoes', step, 'decision', undone.decision, 'decided_at', undone.decided_at,
        'records', jsonb_build_array(seal_record('approval', number))));
    RETURN QUERY SELECT undone.loan_id::text, undone.decision;
END $$;
COMMENT ON FUNCTION undo_decision IS 'Take back the last step on a loan: by whoever made it, until scores are published again, and within desk_rules.undo_minutes. The undo is a row of its own';

CREATE FUNCTION claim_application(loan loan_key, assignee text, acting text, seen_holder text)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    batch  text;
    holder text;
    number bigint;
BEGIN
    PERFORM refuse_other_role(acting);
    PERFORM lock_application(loan);
    SELECT s.batch_id INTO batch
    FROM scores AS s
    JOIN scoring_runs AS r
        ON r.scoring_run_id = s.scoring_run_id AND r.batch_id = s.batch_id AND r.is_current
    WHERE s.loan_id = loan
    ORDER BY s.batch_id DESC
    LIMIT 1;
    IF batch IS NULL THEN
        RAISE EXCEPTION 'loan % has no current score', loan USING ERRCODE = 'check_violation';
    END IF;
    SELECT c.assigned_to INTO holder FROM claims AS c
    WHERE c.batch_id = batch AND c.loan_id = loan ORDER BY c.claim_id DESC LIMIT 1;
    IF holder IS DISTINCT FROM seen_holder THEN
        RAISE EXCEPTION 'loan % was % meanwhile; open the application again', loan,
            coalesce('claimed by ' || holder, 'given back') USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO claims (loan_id, batch_id, assigned_to, assigned_by)
    VALUES (loan, batch, assignee, acting)
    RETURNING claim_id INTO number;
    RETURN number;
END $$;
COMMENT ON FUNCTION claim_application IS 'Give an application to a person, or to nobody. seen_holder is who had it on the caller''s page';
