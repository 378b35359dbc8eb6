-- A decision of a person may take several steps: documents wanted, a first and a second person, an undo, an
-- appeal. Each is a row of approvals; no row is changed or deleted (docs/adr/0057).
SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);

CREATE TABLE desk_rules (
    is_only         boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    amount_column   text,
    four_eyes_above double precision CHECK (four_eyes_above >= 0),
    undo_minutes    integer CHECK (undo_minutes > 0),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (four_eyes_above IS NULL OR amount_column IS NOT NULL)
);
COMMENT ON TABLE desk_rules IS 'Rules of the desk that the functions of the owner enforce, from the contract; one row. migrate writes it';
COMMENT ON COLUMN desk_rules.is_only IS 'Always true: the table has one row';
COMMENT ON COLUMN desk_rules.amount_column IS 'Column of applications with the amount of the loan; null if the contract names none';
COMMENT ON COLUMN desk_rules.four_eyes_above IS 'A decision on a larger amount needs a second person; null: none does';
COMMENT ON COLUMN desk_rules.undo_minutes IS 'Minutes in which a decision can be undone; null: until scores are published again';
COMMENT ON COLUMN desk_rules.changed_at IS 'When they were last changed';

ALTER TABLE approvals
    DROP CONSTRAINT approvals_decision_check,
    DROP CONSTRAINT approvals_suggestion_check,
    DROP CONSTRAINT approvals_check1,
    ADD COLUMN standard_reason     text CHECK (standard_reason <> ''),
    ADD COLUMN amount              double precision,
    ADD COLUMN approved_up_to      double precision CHECK (approved_up_to > 0),
    ADD COLUMN awaits_second       boolean NOT NULL DEFAULT false,
    ADD COLUMN confirms            bigint REFERENCES approvals (approval_id),
    ADD COLUMN undoes              bigint REFERENCES approvals (approval_id),
    ADD COLUMN after_publication   bigint,
    ADD CONSTRAINT approvals_known_decision
        CHECK (decision IN ('approve', 'decline', 'documents', 'undo')),
    ADD CONSTRAINT approvals_known_suggestion
        CHECK (suggestion IN ('review', 'refer', 'approve', 'decline')),
    ADD CONSTRAINT approvals_exclusion_of_refer
        CHECK ((exclusion_reason IS NULL) = (suggestion <> 'refer')),
    ADD CONSTRAINT approvals_undo CHECK ((undoes IS NOT NULL) = (decision = 'undo')),
    ADD CONSTRAINT approvals_condition CHECK (approved_up_to IS NULL OR decision = 'approve'),
    ADD CONSTRAINT approvals_two_persons CHECK (
        decision IN ('approve', 'decline') AND NOT (awaits_second AND confirms IS NOT NULL)
        OR NOT awaits_second AND confirms IS NULL);
CREATE UNIQUE INDEX approvals_undone_once ON approvals (undoes) WHERE undoes IS NOT NULL;
COMMENT ON TABLE approvals IS 'Append-only: steps of a person''s decision on an application. View person_decisions has what counts. Functions of the owner write it';
COMMENT ON COLUMN approvals.decision IS 'approve or decline; documents: documents are wanted, nothing is decided; undo: the row undoes does not count any more';
COMMENT ON COLUMN approvals.suggestion IS 'Decision of that score: review or refer; approve or decline if this is an appeal against it';
COMMENT ON COLUMN approvals.standard_reason IS 'Standard reason of the contract (desk.reasons) that the person chose; null if none';
COMMENT ON COLUMN approvals.amount IS 'Amount of the application at that moment; null if the contract names none, where it is missing, and in rows of earlier releases';
COMMENT ON COLUMN approvals.approved_up_to IS 'Condition of an approval: at most this amount; null without one';
COMMENT ON COLUMN approvals.awaits_second IS 'Whether this is the decision of a first person, which counts only once a second person confirms it';
COMMENT ON COLUMN approvals.confirms IS 'approval_id of the first person''s decision that this one confirms';
COMMENT ON COLUMN approvals.undoes IS 'approval_id of the row that this undo takes back';
COMMENT ON COLUMN approvals.after_publication IS 'Last publication_id at that moment: after a later one it cannot be undone';

CREATE VIEW standing_approvals AS
    SELECT a.*
    FROM approvals AS a
    WHERE a.decision <> 'undo'
      AND NOT EXISTS (SELECT FROM approvals AS u WHERE u.undoes = a.approval_id);
COMMENT ON VIEW standing_approvals IS 'The rows of approvals that nobody undid, without the undos themselves';

CREATE VIEW person_decisions AS
    SELECT DISTINCT ON (batch_id, loan_id) *
    FROM standing_approvals
    WHERE decision IN ('approve', 'decline') AND NOT awaits_second
    ORDER BY batch_id, loan_id, approval_id DESC;
COMMENT ON VIEW person_decisions IS 'What persons decided: the last decision on a loan of a batch that is not undone and needs no second person any more';

CREATE VIEW desk_states AS
    SELECT DISTINCT ON (batch_id, scoring_run_id, loan_id)
           batch_id, scoring_run_id, loan_id, approval_id, decision,
           CASE WHEN decision = 'documents' THEN 'documents'
                WHEN awaits_second THEN 'second'
                ELSE 'decided' END AS state,
           decided_by, decided_at, approved_up_to, suggestion
    FROM standing_approvals
    ORDER BY batch_id, scoring_run_id, loan_id, approval_id DESC;
COMMENT ON VIEW desk_states IS 'How far persons are with each score that they worked on: its last step';
COMMENT ON COLUMN desk_states.state IS 'documents: they are wanted; second: a second person must confirm; decided';

CREATE OR REPLACE VIEW decisions_in_effect AS
    SELECT s.loan_id, s.batch_id, s.scoring_run_id, s.default_probability,
           s.decision AS decision_of_policy, coalesce(a.decision, s.decision) AS decision,
           a.decided_by, a.decided_at, a.approved_up_to
    FROM current_scores AS s
    LEFT JOIN person_decisions AS a ON a.batch_id = s.batch_id AND a.loan_id = s.loan_id;

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
    FROM person_decisions AS a
    JOIN scoring_runs AS r USING (scoring_run_id)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN a.default_probability IS NULL OR r.policy IS NULL THEN NULL
                    WHEN a.default_probability
                         < ((r.policy #>> '{decision,approve_below}')::double precision
                            + (r.policy #>> '{decision,decline_from}')::double precision) / 2
                    THEN 'approve'
                    ELSE 'decline' END AS decision_of_model
    ) AS w;

-- The audit log answers for the new columns too. That changes the hash of every approval, so all records are
-- sealed anew. What was wrong with them before is kept in an entry, because the seal would hide it.
CREATE VIEW record_faults AS
WITH started AS (
    SELECT coalesce(max(entry_id), 0) AS entry_id FROM audit_log WHERE action = 'portfolio.reset'
), seal AS (
    SELECT a.entry_id, s.kind, s.up_to, s.sha256
    FROM audit_log AS a
    CROSS JOIN LATERAL jsonb_to_recordset(
        CASE WHEN jsonb_typeof(a.details -> 'sealed') = 'array' THEN a.details -> 'sealed' END
    ) AS s (kind text, up_to bigint, sha256 text)
    WHERE a.entry_id = (SELECT max(e.entry_id) FROM audit_log AS e
                        WHERE e.action = 'rights.seal'
                          AND e.entry_id > (SELECT entry_id FROM started))
), named AS (
    SELECT a.entry_id, r.kind, r.id, r.sha256
    FROM audit_log AS a
    CROSS JOIN LATERAL jsonb_to_recordset(
        CASE WHEN jsonb_typeof(a.details -> 'records') = 'array' THEN a.details -> 'records' END
    ) AS r (kind text, id bigint, sha256 text)
    WHERE a.entry_id > (SELECT entry_id FROM started)
      AND a.action ~ '^(approval|batch|promotion|scores)\.' AND a.action <> 'promotion.denied'
), judged AS (
    SELECT coalesce(r.kind, n.kind) AS kind, coalesce(r.record_id, n.id) AS record_id,
        CASE
            WHEN n.entry_id IS NULL THEN 'no entry records it'
            WHEN r.record_id IS NULL THEN 'it is missing, and entry ' || n.entry_id || ' records it'
            WHEN n.sha256 <> encode(sha256(convert_to(r.content::text, 'UTF8')), 'hex')
                THEN 'it differs from what entry ' || n.entry_id || ' records'
        END AS fault
    FROM audited_records AS r
    FULL JOIN named AS n ON n.kind = r.kind AND n.id = r.record_id
    WHERE coalesce(r.record_id, n.id) > coalesce(
        (SELECT s.up_to FROM seal AS s WHERE s.kind = coalesce(r.kind, n.kind)), 0)
)
SELECT kind, record_id, fault FROM judged WHERE fault IS NOT NULL
UNION ALL
SELECT s.kind, s.up_to, 'those up to it differ from what entry ' || s.entry_id || ' seals'
FROM seal AS s
LEFT JOIN audited_records AS r ON r.kind = s.kind AND r.record_id <= s.up_to
GROUP BY s.entry_id, s.kind, s.up_to, s.sha256
HAVING s.sha256 IS DISTINCT FROM encode(sha256(convert_to(
    string_agg(r.content::text, E'\n' ORDER BY r.record_id), 'UTF8')), 'hex')
UNION ALL
SELECT 'publication', l.publication_id, 'it is the last of batch ' || batch_id
       || ', and readers see ' || coalesce(r.scoring_run_id, 'no run')
FROM (
    SELECT DISTINCT ON (batch_id) batch_id, publication_id, scoring_run_id
    FROM publications
    ORDER BY batch_id, publication_id DESC
) AS l
FULL JOIN (SELECT batch_id, scoring_run_id FROM scoring_runs WHERE is_current) AS r USING (batch_id)
WHERE l.scoring_run_id IS DISTINCT FROM r.scoring_run_id;
COMMENT ON VIEW record_faults IS 'Approvals, promotions and publications that differ from what the audit log answers for, and batches of which readers see another run than the last publication says';
COMMENT ON COLUMN record_faults.kind IS 'approval, promotion or publication';
COMMENT ON COLUMN record_faults.record_id IS 'Its approval_id, promotion_id or publication_id';
COMMENT ON COLUMN record_faults.fault IS 'What is wrong';

DO $seal$
DECLARE
    faults jsonb;
BEGIN
    SELECT jsonb_agg(to_jsonb(f) ORDER BY f.kind, f.record_id) INTO faults FROM record_faults AS f;
    CREATE OR REPLACE VIEW audited_records AS
        SELECT 'approval' AS kind, approval_id AS record_id,
               jsonb_build_array(loan_id::text, decision, comment, decided_by, batch_id,
                   scoring_run_id, suggestion, default_probability, exclusion_reason,
                   to_char(decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
                   standard_reason, amount, approved_up_to, awaits_second, confirms, undoes,
                   after_publication) AS content
        FROM approvals
        UNION ALL
        SELECT 'promotion', promotion_id,
               jsonb_build_array(kind, model_version, verdict, replaces, evidence, decided_by,
                   occasion, comment,
                   to_char(decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'))
        FROM promotions
        UNION ALL
        SELECT 'publication', publication_id,
               jsonb_build_array(batch_id, scoring_run_id, occasion, published_by,
                   to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'))
        FROM publications;
    IF faults IS NOT NULL THEN
        INSERT INTO audit_log (done_by, action, subject, details)
        VALUES ('role:' || session_user, 'rights.faults', current_schema(),
                jsonb_build_object('faults_before', faults));
    END IF;
    PERFORM seal_records('role:' || session_user);
END $seal$;
