-- Return the steps of persons on a loan that stand, the last one first.
SELECT approval_id, decided_at, decision, comment, decided_by, scoring_run_id, suggestion,
       default_probability, standard_reason, approved_up_to, awaits_second, confirms
FROM standing_approvals
WHERE loan_id = %(loan_id)s::loan_key
ORDER BY approval_id DESC
