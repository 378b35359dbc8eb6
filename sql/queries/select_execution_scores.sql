-- Return the scores of a scoring run that follow a given loan, in the order of loan_id.
SELECT loan_id, default_probability, exclusion_reason, decision, persona, persona_default_rate,
       reason_1, reason_2, reason_3, reason_4, propensity_version, personas_version, scored_at
FROM scores
WHERE batch_id = %(batch_id)s AND scoring_run_id = %(scoring_run_id)s
  AND (%(after)s::loan_key IS NULL OR loan_id > %(after)s::loan_key)
ORDER BY loan_id
LIMIT %(limit)s
