-- Return the scores of a scoring run that follow a given loan, in the order of loan_id, with the decision of a
-- person that counts, and what is left to do at the desk.
SELECT s.*, p.decision AS person_decision, p.decided_at AS person_decided_at,
       p.approved_up_to AS person_approved_up_to,
       CASE WHEN d.state = 'documents' THEN 'documents' WHEN d.state = 'second' THEN 'second' END AS desk_state
FROM (
    SELECT loan_id, default_probability, grade, exclusion_reason, decision, persona,
           persona_default_rate, reason_1, reason_2, reason_3, reason_4, propensity_version,
           personas_version, scored_at
    FROM scores
    WHERE batch_id = %(batch_id)s AND scoring_run_id = %(scoring_run_id)s
      AND (%(after)s::loan_key IS NULL OR loan_id > %(after)s::loan_key)
    ORDER BY loan_id
    LIMIT %(limit)s
) AS s
LEFT JOIN LATERAL (
    SELECT decision, decided_at, approved_up_to FROM person_decisions AS v
    WHERE v.batch_id = %(batch_id)s AND v.loan_id = s.loan_id
) AS p ON true
LEFT JOIN LATERAL (
    SELECT state FROM desk_states AS v
    WHERE v.batch_id = %(batch_id)s AND v.scoring_run_id = %(scoring_run_id)s
      AND v.loan_id = s.loan_id
) AS d ON true
ORDER BY s.loan_id
