-- Decide all applications of a run that were referred for one reason and on which nobody works.
SELECT loans, awaiting
FROM decide_referrals(%(scoring_run_id)s, %(reason)s, %(decision)s, %(comment)s, %(decided_by)s,
                      %(standard_reason)s, %(seen_loans)s)
