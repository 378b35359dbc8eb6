-- Return a loan that was quarantined as unknown in an earlier revision of the same outcomes file, and is
-- known now.
-- ARRAY(...) makes the planner use the index. Otherwise the planner would choose a bad plan, because it
-- has no statistics about rows that have just landed.
SELECT loan_id
FROM loans
WHERE loan_id = ANY(ARRAY(
    SELECT l.loan_id
    FROM quarantine AS q
    JOIN landed_outcomes AS l USING (line_number)
    WHERE q.batch_id = %(drop_id)s AND q.revision = %(revision)s
      AND 'unknown_loan:loan_id' = ANY (q.rules)
))
LIMIT 1
