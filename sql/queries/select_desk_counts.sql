-- Count the applications of a scoring run that wait for a person, by decision, by persona and by first
-- reason.
SELECT decision, persona, coalesce(reason_1, exclusion_reason) AS reason, count(*) AS applications,
       grouping(decision, persona, coalesce(reason_1, exclusion_reason)) AS left_out
FROM scores
WHERE batch_id = %(batch_id)s AND scoring_run_id = %(scoring_run_id)s
  AND decision IN ('review', 'refer')
GROUP BY GROUPING SETS ((decision), (persona), (coalesce(reason_1, exclusion_reason)))
ORDER BY left_out, applications DESC
