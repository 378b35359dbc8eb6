-- Give an application to a person, or to nobody.
SELECT claim_application(%(loan_id)s::loan_key, %(assigned_to)s, %(assigned_by)s, %(seen_holder)s)
       AS claim_id
