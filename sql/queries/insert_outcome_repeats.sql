-- Delete the landed outcomes that only repeat what counts already, and keep the loans of these rows by the
-- file that is repeated. Return their number.
WITH repeated AS (
    DELETE FROM landed_outcomes AS l
    USING outcomes AS o
    WHERE o.loan_id = l.loan_id AND o.drop_id <> %(drop_id)s AND o.is_default = l.is_default
      AND o.observed_on IS NOT DISTINCT FROM l.observed_on
      AND o.recovered IS NOT DISTINCT FROM l.recovered
    RETURNING o.loan_id, o.drop_id, o.revision
), kept AS (
    INSERT INTO outcome_repeats (change_id, repeats_change_id, loan_ids)
    SELECT %(change_id)s, f.change_id, array_agg(r.loan_id ORDER BY r.loan_id)
    FROM repeated AS r
    JOIN outcome_files AS f USING (drop_id, revision)
    GROUP BY f.change_id
)
SELECT count(*) AS rows FROM repeated
