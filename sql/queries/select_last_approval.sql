-- Return the current decision of a person on a loan.
SELECT decided_at, decision, decided_by
FROM approvals
WHERE loan_id = %(loan_id)s::loan_key
ORDER BY decided_at DESC
LIMIT 1
