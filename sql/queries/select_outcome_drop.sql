-- Return the newest revision of an outcomes file.
SELECT drop_id, revision, sha256, rules_sha256, received, accepted, repeated, open, quarantined,
       EXISTS (SELECT FROM quarantine AS q
               WHERE q.batch_id = d.drop_id AND q.revision = d.revision
                 AND 'unknown_loan:loan_id' = ANY (q.rules)) AS has_unknown_loans
FROM outcome_drops AS d
WHERE drop_id = %(drop_id)s
ORDER BY revision DESC
LIMIT 1
