-- What the applications of a scoring run that are left to a person are, for the desk's filters:
-- how many by decision, by persona and by first reason, and how many are decided.
SELECT s.decision, s.persona, coalesce(s.reason_1, s.exclusion_reason) AS reason,
       count(*) AS applications, count(a.loan_id) AS decided,
       grouping(s.decision, s.persona, coalesce(s.reason_1, s.exclusion_reason)) AS left_out
FROM scores AS s
LEFT JOIN (
    SELECT DISTINCT loan_id FROM approvals WHERE batch_id = %(batch_id)s
) AS a USING (loan_id)
WHERE s.batch_id = %(batch_id)s AND s.scoring_run_id = %(scoring_run_id)s
  AND s.decision IN ('review', 'refer')
GROUP BY GROUPING SETS
    ((s.decision), (s.persona), (coalesce(s.reason_1, s.exclusion_reason)))
ORDER BY left_out, applications DESC
