-- Return the last decision of a person on each loan of a batch that a person decided on.
SELECT DISTINCT ON (loan_id) loan_id, decision, decided_at
FROM approvals
WHERE batch_id = %(batch_id)s
ORDER BY loan_id, decided_at DESC
