-- Return how many applications of a scoring run persons have decided, by the policy's decision.
SELECT suggestion, count(DISTINCT loan_id) AS applications
FROM approvals
WHERE batch_id = %(batch_id)s AND scoring_run_id = %(scoring_run_id)s
GROUP BY suggestion
