-- Record a person's decision on an application.
INSERT INTO approvals
    (loan_id, decision, comment, decided_by, batch_id, scoring_run_id, suggestion,
     default_probability, exclusion_reason)
VALUES
    (%(loan_id)s, %(decision)s, %(comment)s, %(decided_by)s, %(batch_id)s, %(scoring_run_id)s,
     %(suggestion)s, %(default_probability)s, %(exclusion_reason)s)
RETURNING decided_at
