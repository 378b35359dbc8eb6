-- Take back the last step of a person on a loan.
SELECT loan_id, decision FROM undo_decision(%(approval_id)s, %(undone_by)s)
