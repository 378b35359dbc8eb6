-- Return what the database holds on messages: their scores, or the rules that they broke.
SELECT m.message_id, m.body_sha256, m.batch_id, m.scoring_run_id, q.rules,
       s.loan_id, s.default_probability, s.grade, s.exclusion_reason, s.decision, s.persona,
       s.persona_default_rate, s.reason_1, s.reason_2, s.reason_3, s.reason_4,
       s.propensity_version, s.personas_version, s.scored_at
FROM stream_messages AS m
LEFT JOIN scores AS s
    ON s.batch_id = m.batch_id AND s.scoring_run_id = m.scoring_run_id AND s.loan_id = m.loan_id
LEFT JOIN quarantine AS q
    ON m.loan_id IS NULL AND q.batch_id = m.batch_id AND q.revision = m.revision
    AND q.line_number = m.line_number
WHERE m.message_id = ANY (%(message_ids)s)
