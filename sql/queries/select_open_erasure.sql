-- Return the erasure of a loan that is not finished.
SELECT erasure_id::text, pseudonym, reason, erased_by, asked_at, applied_at
FROM erasures WHERE loan_id = %(loan_id)s
