ALTER TABLE fairness ADD COLUMN decisions text NOT NULL DEFAULT 'policy'
    CHECK (decisions IN ('policy', 'in effect'));
ALTER TABLE fairness ALTER COLUMN decisions DROP DEFAULT;
ALTER TABLE fairness DROP CONSTRAINT fairness_pkey,
    ADD PRIMARY KEY (scoring_run_id, attribute, metric, decisions);
COMMENT ON TABLE fairness IS 'How far the groups of a protected attribute are apart in the approval of a scored batch, by the policy alone and after review';
COMMENT ON COLUMN fairness.decisions IS 'policy: of loans with a probability, what the policy alone approves; in effect: of all loans that are decided, by a person or by the policy, without those that wait. Only in batches that people have decided in';

COMMENT ON COLUMN performance.metric IS 'auc, gini, ks, f1, precision, recall, brier, log_loss, calibration_slope, default_rate, default_rate_decile_1 (lowest scores) to _10, approval_rate (of the policy), approval_rate_in_effect (after review), loss, loss_of_approved, loss_given_default; in rows of earlier releases also ddm';

CREATE VIEW reviews AS
    SELECT a.loan_id, a.batch_id, a.scoring_run_id, r.propensity_version, a.suggestion,
           a.default_probability, a.exclusion_reason, w.decision_of_model,
           CASE WHEN w.decision_of_model IS NULL THEN NULL
                WHEN a.decision = w.decision_of_model THEN 'none'
                WHEN a.decision = 'approve' THEN 'up'
                ELSE 'down' END AS override,
           a.decision, a.decided_by, a.decided_at, a.comment
    FROM (
        SELECT DISTINCT ON (batch_id, loan_id) *
        FROM approvals
        ORDER BY batch_id, loan_id, decided_at DESC
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
COMMENT ON VIEW reviews IS 'One row a loan that a person decided: the last decision, and what the probability alone would have decided';
COMMENT ON COLUMN reviews.propensity_version IS 'Model of the default probability that the person saw';
COMMENT ON COLUMN reviews.decision_of_model IS 'What the probability alone would have decided, by the nearer of the two thresholds: approve below the middle of approve_below and decline_from, decline from there on. Null without a probability (refer), or if the run kept no policy';
COMMENT ON COLUMN reviews.override IS 'up: approved where the probability said decline; down: declined where it said approve; none: as it said; null without a decision of the model';

CREATE VIEW reviewed_batches AS
    SELECT r.batch_id, r.scoring_run_id, r.applications,
           count(*) FILTER (WHERE d.decision_of_policy = 'approve') AS approved_by_policy,
           count(*) FILTER (WHERE d.decision_of_policy IN ('review', 'refer')) AS left_to_people,
           count(*) FILTER (WHERE d.decided_by IS NOT NULL) AS decided_by_people,
           count(*) FILTER (WHERE d.decision = 'approve') AS approved,
           count(*) FILTER (WHERE d.decision = 'decline') AS declined,
           count(*) FILTER (WHERE d.decision IN ('review', 'refer')) AS waiting
    FROM scoring_runs AS r
    JOIN decisions_in_effect AS d USING (batch_id, scoring_run_id)
    WHERE r.is_current
    GROUP BY r.scoring_run_id;
COMMENT ON VIEW reviewed_batches IS 'One row a scored batch: its decisions by the policy, and those in effect after review';
COMMENT ON COLUMN reviewed_batches.approved_by_policy IS 'Loans that the policy approves';
COMMENT ON COLUMN reviewed_batches.left_to_people IS 'Loans that the policy leaves to a person: review and refer';
COMMENT ON COLUMN reviewed_batches.decided_by_people IS 'Loans that a person has decided';
COMMENT ON COLUMN reviewed_batches.approved IS 'Loans approved in effect, by the policy or by a person';
COMMENT ON COLUMN reviewed_batches.declined IS 'Loans declined in effect';
COMMENT ON COLUMN reviewed_batches.waiting IS 'Loans that still wait for a person';
