-- Return decided applications most like this one, and what became of them: of the same persona with the nearest
-- probability, or of the same exclusion reason if no model scored it, from the nights before.
SELECT q.loan_id, q.batch_id, q.default_probability, q.grade, q.amount, d.decision AS decided,
       d.approved_up_to, o.is_default
FROM person_decisions AS d
JOIN desk_queue AS q USING (batch_id, scoring_run_id, loan_id)
LEFT JOIN outcomes AS o ON o.loan_id = q.loan_id
WHERE d.batch_id >= %(since)s AND d.batch_id <= %(batch_id)s AND d.loan_id <> %(loan_id)s::loan_key
  AND CASE WHEN %(probability)s::double precision IS NULL
           THEN q.exclusion_reason = %(exclusion_reason)s
           ELSE q.persona = %(persona)s AND q.default_probability IS NOT NULL END
ORDER BY abs(q.default_probability - %(probability)s::double precision), q.batch_id DESC, q.loan_id
LIMIT %(cases)s
