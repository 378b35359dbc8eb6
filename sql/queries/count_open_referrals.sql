-- Count the applications of a queue that were referred for a reason, and on which nobody works or worked.
SELECT count(*) AS applications
FROM desk_queue
WHERE scoring_run_id = %(scoring_run_id)s AND decision = 'refer' AND exclusion_reason = %(reason)s
  AND loan_id NOT IN (SELECT d.loan_id FROM desk_states AS d
                      WHERE d.batch_id = %(batch_id)s AND d.scoring_run_id = %(scoring_run_id)s)
  AND loan_id NOT IN (SELECT c.loan_id FROM desk_claims AS c
                      WHERE c.batch_id = %(batch_id)s AND c.assigned_to IS NOT NULL)
