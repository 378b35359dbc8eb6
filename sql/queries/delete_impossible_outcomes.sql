-- Delete the landed outcomes that cannot be true, and return every rule that each of them broke, with
-- the loan, the date and the loan's batch.
-- If a file repeats an outcome of a loan with the same date, the first row stays and the others are
-- deleted. If outcomes of a loan with the same date contradict each other, all of them are deleted. A
-- correction may contradict what other files say.
-- ARRAY(...) makes the planner use the index. Otherwise the planner would choose a bad plan, because it
-- has no statistics about rows that have just landed.
WITH applied AS MATERIALIZED (
    SELECT loan_id, batch_id
    FROM loans
    WHERE loan_id = ANY(ARRAY(SELECT loan_id FROM landed_outcomes WHERE loan_id IS NOT NULL))
), stated AS MATERIALIZED (
    SELECT s.loan_id, s.is_default, s.observed_on, s.change_id,
           f.state = 'current' AND s.drop_id <> %(drop_id)s AS is_current,
           max(s.change_id) FILTER (WHERE f.is_correction AND f.state = 'current'
                                      AND s.drop_id <> %(drop_id)s)
               OVER (PARTITION BY s.loan_id) AS corrected_by
    FROM outcome_revisions AS s
    JOIN outcome_files AS f USING (change_id)
    WHERE s.loan_id = ANY(ARRAY(SELECT loan_id FROM landed_outcomes WHERE loan_id IS NOT NULL))
), known AS MATERIALIZED (
    SELECT DISTINCT loan_id FROM stated
), told AS (
    SELECT
        line_number, loan_id, is_default, observed_on, rules,
        line_number > min(line_number) OVER same_day AS is_repeated,
        bool_or(is_default) OVER same_day <> bool_and(is_default) OVER same_day AS is_contradicted
    FROM landed_outcomes
    WHERE loan_id IS NOT NULL
    WINDOW same_day AS (PARTITION BY loan_id, observed_on)
), contradicting AS MATERIALIZED (
    SELECT DISTINCT t.line_number
    FROM told AS t
    JOIN stated AS s USING (loan_id)
    WHERE s.is_current AND s.change_id >= coalesce(s.corrected_by, 0)
      AND s.is_default <> t.is_default AND s.observed_on IS NOT DISTINCT FROM t.observed_on
      AND NOT %(is_correction)s
), judged AS (
    SELECT
        t.line_number, a.batch_id,
        t.rules || array_remove(ARRAY[
            CASE WHEN t.is_repeated THEN 'duplicate_key:loan_id' END,
            -- A loan with a recorded outcome was known; retention may have dropped its application.
            CASE WHEN a.batch_id IS NULL AND k.loan_id IS NULL THEN 'unknown_loan:loan_id' END,
            CASE WHEN t.is_default IS NOT NULL AND t.is_contradicted
                   OR c.line_number IS NOT NULL
                 THEN 'contradicting_outcome:is_default' END,
            -- If dates name only a month, the day is unknown: compare months.
            CASE WHEN a.batch_id <> 'history' AND t.observed_on::text COLLATE "C"
                      < CASE WHEN %(is_of_a_month)s THEN left(a.batch_id, 7) ELSE a.batch_id END
                 THEN 'outcome_before_application:observed_on' END,
            -- Every later outcome would count as older. A day more, for time zones east of UTC.
            CASE WHEN t.observed_on > current_date + 1
                 THEN 'outcome_in_future:observed_on' END
        ], NULL) AS rules
    FROM told AS t
    LEFT JOIN known AS k USING (loan_id)
    LEFT JOIN contradicting AS c USING (line_number)
    LEFT JOIN applied AS a USING (loan_id)
    UNION ALL
    SELECT line_number, NULL, rules FROM landed_outcomes WHERE loan_id IS NULL
)
DELETE FROM landed_outcomes AS l
USING judged AS j
WHERE j.line_number = l.line_number AND cardinality(j.rules) > 0
RETURNING l.line_number, j.rules, l.loan_id, l.observed_on, j.batch_id
