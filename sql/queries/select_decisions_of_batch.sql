-- Return the decision of a person that counts on each loan of a batch that a person decided on.
SELECT loan_id, decision, decided_at
FROM person_decisions
WHERE batch_id = %(batch_id)s
ORDER BY loan_id
