-- Create the temporary table of the loans whose row in `outcomes` is no longer the newest statement on
-- them, with the newest statement, or with nulls if no statement is left. Only loans that a file names
-- in one of its revisions from `since` on are compared.
-- ARRAY(...) makes the planner use the index. Otherwise the planner would choose a bad plan, because it
-- has no statistics about rows that have just landed.
CREATE TEMPORARY TABLE changed_outcomes ON COMMIT DROP AS
WITH named AS MATERIALIZED (
    SELECT DISTINCT s.loan_id
    FROM outcome_revisions AS s
    WHERE s.change_id = ANY(ARRAY(SELECT f.change_id FROM outcome_files AS f
                                  WHERE f.drop_id = %(drop_id)s AND f.revision >= %(since)s))
), stated AS MATERIALIZED (
    SELECT s.loan_id, s.change_id, s.is_default, s.observed_on, s.recovered, s.drop_id, s.revision,
           max(s.change_id) FILTER (WHERE f.is_correction) OVER (PARTITION BY s.loan_id)
               AS corrected_by
    FROM outcome_revisions AS s
    JOIN outcome_files AS f ON f.change_id = s.change_id AND f.state = 'current'
    WHERE s.loan_id = ANY(ARRAY(SELECT loan_id FROM named))
), newest AS MATERIALIZED (
    SELECT DISTINCT ON (loan_id) loan_id, is_default, observed_on, recovered, drop_id, revision
    FROM stated
    WHERE change_id >= coalesce(corrected_by, 0)
    ORDER BY loan_id, observed_on DESC NULLS LAST, change_id DESC
), shown AS MATERIALIZED (
    SELECT o.*
    FROM outcomes AS o
    WHERE o.loan_id = ANY(ARRAY(SELECT loan_id FROM named))
)
SELECT n.loan_id, s.is_default AS was_default, s.recovered AS was_recovered,
       t.is_default, t.observed_on, t.recovered, t.drop_id, t.revision
FROM named AS n
LEFT JOIN newest AS t USING (loan_id)
LEFT JOIN shown AS s USING (loan_id)
WHERE (t.is_default, t.observed_on, t.recovered, t.drop_id, t.revision)
      IS DISTINCT FROM (s.is_default, s.observed_on, s.recovered, s.drop_id, s.revision)
