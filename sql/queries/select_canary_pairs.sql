-- Return the loans of a run's canary as the challenger and the champion scored them.
SELECT s.default_probability AS probability, s.decision = 'approve' AS is_approved,
       c.default_probability AS champion_probability, c.decision = 'approve' AS champion_is_approved
FROM scores AS s
JOIN shadow_scores AS c USING (batch_id, scoring_run_id, loan_id)
WHERE s.batch_id = %(batch_id)s AND s.scoring_run_id = %(scoring_run_id)s
  AND s.propensity_version = %(propensity_version)s
