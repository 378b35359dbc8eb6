-- Return every statement on the outcome of a loan, the latest first, and whether it counts.
SELECT is_default, observed_on, recovered, drop_id, revision, is_correction, state, taken_at, changed_at,
       changed_by, comment
FROM outcome_history
WHERE loan_id = %(loan_id)s::loan_key
ORDER BY change_id DESC, observed_on DESC NULLS LAST
