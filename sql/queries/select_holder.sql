-- Return who works on an application.
SELECT assigned_to, assigned_by, assigned_at
FROM desk_claims
WHERE batch_id = %(batch_id)s AND loan_id = %(loan_id)s::loan_key AND assigned_to IS NOT NULL
