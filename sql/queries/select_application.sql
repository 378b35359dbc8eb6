-- Return the application of a loan as it was received, with its current score and the models that made
-- the score.
SELECT
    s.loan_id, s.batch_id, r.revision, s.scoring_run_id, s.scored_at,
    s.decision, s.default_probability, s.grade, s.exclusion_reason, r.policy,
    r.lookup_delivery_id,
    array_remove(ARRAY[s.reason_1, s.reason_2, s.reason_3, s.reason_4], NULL) AS reasons,
    s.persona, s.persona_default_rate, s.propensity_version, s.personas_version,
    to_jsonb(a) - ARRAY['batch_id', 'revision', 'line_number'] AS application,
    m.evaluation -> 'histogram' AS histogram
FROM scores AS s
JOIN scoring_runs AS r
    ON r.scoring_run_id = s.scoring_run_id AND r.batch_id = s.batch_id AND r.is_current
JOIN applications AS a
    ON a.batch_id = r.batch_id AND a.revision = r.revision AND a.loan_id = s.loan_id
JOIN models AS m ON m.model_version = s.propensity_version
WHERE s.loan_id = %(loan_id)s::loan_key
ORDER BY s.batch_id DESC
LIMIT 1
