-- Turn rows that only repeated what a revision of a file said into statements of their own files, before
-- that revision ceases to count. If it is a correction that counts again, it overrules all statements
-- before it, so that rows after it that repeated one of those become statements too.
WITH changed AS (
    SELECT change_id, is_correction
    FROM outcome_files
    WHERE drop_id = %(drop_id)s AND revision = %(revision)s
), spent AS (
    DELETE FROM outcome_repeats AS r
    USING changed AS c
    WHERE r.repeats_change_id = c.change_id
       OR c.is_correction AND r.repeats_change_id < c.change_id AND c.change_id < r.change_id
    RETURNING r.change_id, r.repeats_change_id, r.loan_ids
)
INSERT INTO outcome_revisions (loan_id, change_id, is_default, observed_on, recovered, drop_id, revision)
SELECT DISTINCT ON (r.change_id, s.loan_id) s.loan_id, r.change_id, s.is_default, s.observed_on, s.recovered, f.drop_id, f.revision
FROM spent AS r
JOIN outcome_files AS f USING (change_id)
CROSS JOIN LATERAL unnest(r.loan_ids) AS named (loan_id)
JOIN outcome_revisions AS s ON s.change_id = r.repeats_change_id AND s.loan_id = named.loan_id
-- Only the newest statement of a file on a loan counted, and was repeated.
ORDER BY r.change_id, s.loan_id, s.observed_on DESC NULLS LAST
