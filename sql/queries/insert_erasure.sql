-- Begin an erasure.
INSERT INTO erasures (pseudonym, loan_id, reason, erased_by)
VALUES (%(pseudonym)s, %(loan_id)s, %(reason)s, %(erased_by)s)
