-- Count the loans of a scoring run that people have decided, by the policy's and the person's decision.
SELECT s.decision AS decision_of_policy, a.decision, count(*) AS loans
FROM person_decisions AS a
JOIN scores AS s
    ON s.batch_id = %(batch_id)s AND s.scoring_run_id = %(scoring_run_id)s AND s.loan_id = a.loan_id
WHERE a.batch_id = %(batch_id)s
GROUP BY s.decision, a.decision
