-- Return the applications of a scoring run that wait for a person and follow a given application.
-- Those most likely to default come first, and those without a default probability come last. Each has
-- the last decision that a person made on this score.
SELECT loan_id, decision, default_probability, exclusion_reason, persona, persona_default_rate,
       array_remove(ARRAY[reason_1, reason_2, reason_3, reason_4], NULL) AS reasons,
       decided, decided_by, decided_at
FROM (
    SELECT s.loan_id, s.decision, s.default_probability, s.exclusion_reason, s.persona,
           s.persona_default_rate, s.reason_1, s.reason_2, s.reason_3, s.reason_4,
           a.decision AS decided, a.decided_by, a.decided_at
    FROM scores AS s
    LEFT JOIN (
        SELECT DISTINCT ON (loan_id) loan_id, decision, decided_by, decided_at
        FROM approvals
        WHERE batch_id = %(batch_id)s AND scoring_run_id = %(scoring_run_id)s
        ORDER BY loan_id, decided_at DESC
    ) AS a USING (loan_id)
    WHERE s.batch_id = %(batch_id)s AND s.scoring_run_id = %(scoring_run_id)s
      AND s.decision = ANY (%(decisions)s)
      AND (%(persona)s::text IS NULL OR s.persona = %(persona)s)
      AND (%(reason)s::text IS NULL
           OR %(reason)s IN (s.reason_1, s.reason_2, s.reason_3, s.reason_4, s.exclusion_reason))
      AND (%(low)s::double precision IS NULL OR s.default_probability >= %(low)s)
      AND (%(high)s::double precision IS NULL OR s.default_probability < %(high)s)
      AND (%(is_decided)s::boolean IS NULL OR (a.loan_id IS NOT NULL) = %(is_decided)s)
      AND (%(after_loan_id)s::loan_key IS NULL
           OR coalesce(s.default_probability, -1) < %(after_probability)s
           OR (coalesce(s.default_probability, -1) = %(after_probability)s
               AND s.loan_id > %(after_loan_id)s::loan_key))
    ORDER BY coalesce(s.default_probability, -1) DESC, s.loan_id
    LIMIT %(limit)s
) AS page
ORDER BY coalesce(default_probability, -1) DESC, loan_id
