-- Return the last step of a person on a loan that stands.
SELECT approval_id, decided_at, decision, decided_by, awaits_second
FROM standing_approvals
WHERE loan_id = %(loan_id)s::loan_key
ORDER BY approval_id DESC
LIMIT 1
