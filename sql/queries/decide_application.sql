-- Record a person's decision, or that documents are wanted, on the current score of a loan.
SELECT approval_id, decided_at, awaits_second, confirms, replaced_id, replaced_decision, replaced_by,
       replaced_at
FROM decide_application(%(loan_id)s::loan_key, %(decision)s, %(comment)s, %(decided_by)s,
                        %(seen_run)s, %(seen_step)s, %(standard_reason)s, %(approved_up_to)s,
                        %(is_appeal)s)
