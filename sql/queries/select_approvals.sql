-- Return the decisions of persons on a loan, the current decision first.
SELECT decided_at, decision, comment, decided_by, scoring_run_id, suggestion, default_probability
FROM approvals
WHERE loan_id = %(loan_id)s::loan_key
ORDER BY decided_at DESC
