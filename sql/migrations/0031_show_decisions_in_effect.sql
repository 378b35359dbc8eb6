CREATE VIEW decisions_in_effect AS
    SELECT s.loan_id, s.batch_id, s.scoring_run_id, s.default_probability,
           s.decision AS decision_of_policy, coalesce(a.decision, s.decision) AS decision,
           a.decided_by, a.decided_at
    FROM current_scores AS s
    LEFT JOIN (
        SELECT DISTINCT ON (batch_id, loan_id) batch_id, loan_id, decision, decided_by, decided_at
        FROM approvals
        ORDER BY batch_id, loan_id, decided_at DESC
    ) AS a ON a.batch_id = s.batch_id AND a.loan_id = s.loan_id;
COMMENT ON VIEW decisions_in_effect IS 'One row a loan: what was decided in the end, by a person if one decided, and otherwise by the policy';
COMMENT ON COLUMN decisions_in_effect.decision_of_policy IS 'Decision of the current score: approve, review, decline or refer';
COMMENT ON COLUMN decisions_in_effect.decision IS 'The person''s last decision, or that of the current score if no person has decided: review and refer then still wait for one';
COMMENT ON COLUMN decisions_in_effect.decided_by IS 'Who decided last; null if no person has';
COMMENT ON COLUMN decisions_in_effect.decided_at IS 'When that person decided';
