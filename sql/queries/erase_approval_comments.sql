-- Remove what a person wrote about an applicant. The decision itself is kept.
UPDATE approvals SET comment = 'erased' WHERE loan_id = %(loan_id)s::loan_key
