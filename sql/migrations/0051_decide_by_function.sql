SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

-- The order of decisions is that of their numbers: clocks jump.
ALTER TABLE approvals ADD COLUMN approval_id bigint;
ALTER TABLE approvals DISABLE TRIGGER approvals_append_only;
UPDATE approvals AS a SET approval_id = numbered.number
FROM (SELECT loan_id, decided_at, row_number() OVER (ORDER BY decided_at, loan_id) AS number
      FROM approvals) AS numbered
WHERE a.loan_id = numbered.loan_id AND a.decided_at = numbered.decided_at;
ALTER TABLE approvals ENABLE TRIGGER approvals_append_only;
ALTER TABLE approvals ALTER COLUMN approval_id SET NOT NULL;
ALTER TABLE approvals ALTER COLUMN approval_id ADD GENERATED ALWAYS AS IDENTITY;
SELECT setval(pg_get_serial_sequence('approvals', 'approval_id'), max(approval_id))
FROM approvals HAVING max(approval_id) IS NOT NULL;
CREATE UNIQUE INDEX approvals_by_number ON approvals (approval_id);
CREATE INDEX approvals_by_loan ON approvals (loan_id, approval_id);
CREATE INDEX approvals_in_order ON approvals (batch_id, loan_id, approval_id);
DROP INDEX approvals_by_batch;
COMMENT ON TABLE approvals IS 'Append-only: a person''s decision on an application that was left to one; of several on a loan the one with the highest approval_id counts. Function record_approval writes it';
COMMENT ON COLUMN approvals.approval_id IS 'Counts up in the order of recording';
COMMENT ON COLUMN approvals.decided_at IS 'When, by the clock of the database';

CREATE OR REPLACE VIEW decisions_in_effect AS
    SELECT s.loan_id, s.batch_id, s.scoring_run_id, s.default_probability,
           s.decision AS decision_of_policy, coalesce(a.decision, s.decision) AS decision,
           a.decided_by, a.decided_at
    FROM current_scores AS s
    LEFT JOIN (
        SELECT DISTINCT ON (batch_id, loan_id) batch_id, loan_id, decision, decided_by, decided_at
        FROM approvals
        ORDER BY batch_id, loan_id, approval_id DESC
    ) AS a ON a.batch_id = s.batch_id AND a.loan_id = s.loan_id;

CREATE OR REPLACE VIEW reviews AS
    SELECT a.loan_id, a.batch_id, a.scoring_run_id,
           CASE WHEN r.canary IS NULL THEN r.propensity_version
                ELSE coalesce((SELECT s.propensity_version FROM scores AS s
                               WHERE s.batch_id = a.batch_id AND s.scoring_run_id = a.scoring_run_id
                                 AND s.loan_id = a.loan_id),
                              r.propensity_version) END AS propensity_version, a.suggestion,
           a.default_probability, a.exclusion_reason, w.decision_of_model,
           CASE WHEN w.decision_of_model IS NULL THEN NULL
                WHEN a.decision = w.decision_of_model THEN 'none'
                WHEN a.decision = 'approve' THEN 'up'
                ELSE 'down' END AS override,
           a.decision, a.decided_by, a.decided_at, a.comment
    FROM (
        SELECT DISTINCT ON (batch_id, loan_id) *
        FROM approvals
        ORDER BY batch_id, loan_id, approval_id DESC
    ) AS a
    JOIN scoring_runs AS r USING (scoring_run_id)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN a.default_probability IS NULL OR r.policy IS NULL THEN NULL
                    WHEN a.default_probability
                         < ((r.policy #>> '{decision,approve_below}')::double precision
                            + (r.policy #>> '{decision,decline_from}')::double precision) / 2
                    THEN 'approve'
                    ELSE 'decline' END AS decision_of_model
    ) AS w;

-- What the audit log answers for. A record of each stands in the entry of the function that wrote it.
CREATE VIEW audited_records AS
    SELECT 'approval' AS kind, approval_id AS record_id,
           jsonb_build_array(loan_id::text, decision, comment, decided_by, batch_id, scoring_run_id,
               suggestion, default_probability, exclusion_reason,
               to_char(decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')) AS content
    FROM approvals
    UNION ALL
    SELECT 'promotion', promotion_id,
           jsonb_build_array(kind, model_version, verdict, replaces, evidence, decided_by, occasion,
               comment, to_char(decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'))
    FROM promotions
    UNION ALL
    SELECT 'publication', publication_id,
           jsonb_build_array(batch_id, scoring_run_id, occasion, published_by,
               to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'))
    FROM publications;
COMMENT ON VIEW audited_records IS 'Approvals, promotions and publications, as the audit log answers for them';
COMMENT ON COLUMN audited_records.kind IS 'approval, promotion or publication';
COMMENT ON COLUMN audited_records.record_id IS 'Its approval_id, promotion_id or publication_id';
COMMENT ON COLUMN audited_records.content IS 'What it records';

CREATE FUNCTION seal_record(sealed_kind text, sealed_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN (SELECT jsonb_build_object('kind', kind, 'id', record_id, 'sha256',
                encode(sha256(convert_to(content::text, 'UTF8')), 'hex'))
            FROM audited_records WHERE kind = sealed_kind AND record_id = sealed_id);
END $$;
COMMENT ON FUNCTION seal_record IS 'Return kind, number and hash of an approval, promotion or publication, for its entry in the audit log';

CREATE FUNCTION seal_records(acting text) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    sealed jsonb;
BEGIN
    SELECT jsonb_agg(jsonb_build_object('kind', kind, 'up_to', last, 'sha256', hash)) INTO sealed
    FROM (SELECT kind, max(record_id) AS last, encode(sha256(convert_to(
                     string_agg(content::text, E'\n' ORDER BY record_id), 'UTF8')), 'hex') AS hash
          FROM audited_records GROUP BY kind ORDER BY kind) AS each;
    IF sealed IS NOT NULL THEN
        INSERT INTO audit_log (done_by, action, subject, details)
        VALUES (acting, 'rights.seal', current_schema(), jsonb_build_object('sealed', sealed));
    END IF;
END $$;
COMMENT ON FUNCTION seal_records IS 'Write one entry with a hash of all approvals, promotions and publications. The owner calls it, after a change of rows that the audit log answers for';

-- Suggestion, probability, run and time are those of the database, not of the caller.
CREATE FUNCTION record_approval(
    loan loan_key, decided text, reason text, acting text, seen_run text
) RETURNS TABLE (approval_id bigint, decided_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
#variable_conflict use_column
DECLARE
    score    record;
    earlier  record;
    recorded record;
BEGIN
    PERFORM refuse_other_role(acting);
    PERFORM pg_advisory_xact_lock(
        hashtextextended(current_schema() || ':approval:' || loan::text, 0));
    SELECT s.batch_id, s.scoring_run_id, s.decision, s.default_probability, s.exclusion_reason
    INTO score
    FROM scores AS s
    JOIN scoring_runs AS r
        ON r.scoring_run_id = s.scoring_run_id AND r.batch_id = s.batch_id AND r.is_current
    WHERE s.loan_id = loan
    ORDER BY s.batch_id DESC
    LIMIT 1;
    IF score.scoring_run_id IS NULL OR score.scoring_run_id IS DISTINCT FROM seen_run
       OR score.decision NOT IN ('review', 'refer') THEN
        RAISE EXCEPTION 'loan % has no score of run % that is left to a person', loan, seen_run
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT a.decided_at, a.decision, a.decided_by INTO earlier
    FROM approvals AS a WHERE a.loan_id = loan ORDER BY a.approval_id DESC LIMIT 1;
    INSERT INTO approvals AS a
        (loan_id, decision, comment, decided_by, batch_id, scoring_run_id, suggestion,
         default_probability, exclusion_reason)
    VALUES
        (loan, decided, reason, acting, score.batch_id, score.scoring_run_id, score.decision,
         score.default_probability, score.exclusion_reason)
    RETURNING a.approval_id, a.decided_at INTO recorded;
    INSERT INTO audit_log (done_by, action, subject, details)
    VALUES (acting, 'approval.' || decided, 'loan ' || loan::text,
            to_jsonb(score) || jsonb_build_object(
                'comment', reason,
                'records', jsonb_build_array(seal_record('approval', recorded.approval_id)),
                'replaces', CASE WHEN earlier.decided_at IS NOT NULL THEN to_jsonb(earlier) END));
    RETURN QUERY SELECT recorded.approval_id, recorded.decided_at;
END $$;
COMMENT ON FUNCTION record_approval IS 'Record a person''s decision on the current score of a loan, with its entry in the audit log';
