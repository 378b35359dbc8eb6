-- Return everything that is recorded about one loan, with one row for each scoring of the loan and the
-- current scoring first.
-- Each row has the application as it was received, the decision with policy and reasons, the model with
-- its training data, the promotion in force when the loan was scored, the periods in which readers saw
-- the score, the outcome, every statement on the outcome, the latest first, and a person's last decision.
SELECT
    s.loan_id, s.batch_id, b.revision, r.is_current, s.scoring_run_id, s.scored_at,
    s.decision, s.default_probability, s.grade, s.exclusion_reason, r.policy,
    array_remove(ARRAY[s.reason_1, s.reason_2, s.reason_3, s.reason_4], NULL) AS reasons,
    s.persona, s.persona_default_rate,
    to_jsonb(a) - ARRAY['batch_id', 'revision', 'loan_id', 'line_number'] AS application,
    coalesce(f.file, b.source) AS source, coalesce(f.sha256, b.sha256) AS source_sha256,
    a.line_number - coalesce(f.first_line, 1) + 1 AS line_number,
    s.propensity_version, s.personas_version, r.canary, m.algorithm, m.code_version, m.artifact_sha256,
    m.training_data, m.metrics,
    p.promotion_id, p.decided_by AS promoted_by, p.decided_at AS promoted_at, p.evidence,
    b.withdrawn_at, b.withdrawn_by, b.withdrawal_comment,
    coalesce(
        (SELECT jsonb_agg(to_jsonb(v) - ARRAY['batch_id', 'scoring_run_id'] ORDER BY v.visible_from)
         FROM publication_periods AS v WHERE v.scoring_run_id = s.scoring_run_id),
        '[]'
    ) AS periods,
    o.is_default, o.observed_on,
    coalesce(
        (SELECT jsonb_agg(to_jsonb(h) - 'loan_id' ORDER BY h.change_id DESC, h.observed_on DESC)
         FROM outcome_history AS h WHERE h.loan_id = s.loan_id),
        '[]'
    ) AS outcomes,
    d.decision AS person_decision, d.decided_by AS person_decided_by,
    d.approved_up_to AS person_approved_up_to
FROM scores AS s
JOIN scoring_runs AS r ON r.scoring_run_id = s.scoring_run_id
JOIN batches AS b ON b.batch_id = r.batch_id AND b.revision = r.revision
JOIN applications AS a
    ON a.batch_id = r.batch_id AND a.revision = r.revision AND a.loan_id = s.loan_id
JOIN models AS m ON m.model_version = s.propensity_version
-- The challenger of a canary decides before it was promoted.
LEFT JOIN LATERAL (
    SELECT promotion_id, decided_by, decided_at, evidence
    FROM promotions
    WHERE model_version = s.propensity_version AND verdict = 'promoted'
      AND decided_at <= s.scored_at
    ORDER BY promotion_id DESC
    LIMIT 1
) AS p ON true
LEFT JOIN LATERAL (
    -- Only where there are several files; the source of one file says more than its name.
    SELECT file, sha256, first_line
    FROM (
        SELECT file, sha256, first_line, count(*) OVER () AS files
        FROM batch_files AS f WHERE f.batch_id = b.batch_id AND f.revision = b.revision
    ) AS each
    WHERE files > 1 AND first_line <= a.line_number
    ORDER BY first_line DESC
    LIMIT 1
) AS f ON true
LEFT JOIN LATERAL (
    SELECT decision, decided_by, approved_up_to FROM person_decisions AS v
    WHERE v.batch_id = r.batch_id AND v.loan_id = s.loan_id
) AS d ON true
LEFT JOIN outcomes AS o ON o.loan_id = s.loan_id
WHERE s.loan_id = %(loan_id)s::loan_key AND r.state = 'published'
ORDER BY r.is_current DESC, s.scored_at DESC
