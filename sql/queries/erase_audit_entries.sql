-- Replace a loan in the audit log by its pseudonym, and what a person wrote about the applicant. The
-- entries keep their hashes; the entry of the erasure has the hash of what they say now.
UPDATE audit_log AS a
SET subject = regexp_replace(subject, %(pattern)s, %(replacement)s, 'gi'),
    details = regexp_replace(
        CASE WHEN subject ~* %(pattern)s THEN
            jsonb_set(jsonb_set(details, '{comment}', '"erased"', false),
                      '{replaces,comment}', '"erased"', false)
        ELSE details END::text,
        %(pattern)s, %(replacement)s, 'gi'
    )::jsonb
WHERE subject ~* %(pattern)s OR details::text ~* %(pattern)s
RETURNING entry_id, audit_hash(a) AS hash
