-- Move landed outcomes that cannot be true to quarantine, with every rule that each of them broke.
-- If a file repeats an outcome of a loan, the first row stays and the others are moved. If the outcomes
-- of a loan contradict each other, all of them are moved.
-- ARRAY(...) makes the planner use the index. Otherwise the planner would choose a bad plan, because it
-- has no statistics about rows that have just landed.
WITH applied AS MATERIALIZED (
    SELECT loan_id, batch_id
    FROM loans
    WHERE loan_id = ANY(ARRAY(SELECT loan_id FROM landed_outcomes WHERE loan_id IS NOT NULL))
), told AS (
    SELECT
        line_number, loan_id, is_default, observed_on, rules,
        line_number > min(line_number) OVER loan AS is_repeated,
        bool_or(is_default) OVER loan <> bool_and(is_default) OVER loan AS is_contradicted
    FROM landed_outcomes
    WHERE loan_id IS NOT NULL
    WINDOW loan AS (PARTITION BY loan_id)
), judged AS (
    SELECT
        t.line_number,
        t.rules || array_remove(ARRAY[
            CASE WHEN t.is_repeated THEN 'duplicate_key:loan_id' END,
            -- A loan with a recorded outcome was known; retention may have dropped its application.
            CASE WHEN a.batch_id IS NULL AND o.loan_id IS NULL THEN 'unknown_loan:loan_id' END,
            CASE WHEN t.is_default IS NOT NULL AND t.is_contradicted
                   OR t.is_default <> o.is_default
                 THEN 'contradicting_outcome:is_default' END,
            CASE WHEN a.batch_id <> 'history' AND t.observed_on::text COLLATE "C" < a.batch_id
                 THEN 'outcome_before_application:observed_on' END
        ], NULL) AS rules
    FROM told AS t
    LEFT JOIN outcomes AS o USING (loan_id)
    LEFT JOIN applied AS a USING (loan_id)
    UNION ALL
    SELECT line_number, rules FROM landed_outcomes WHERE loan_id IS NULL
), moved AS (
    INSERT INTO quarantine (batch_id, revision, line_number, raw_text, rules)
    SELECT %(drop_id)s, %(revision)s, line_number, l.raw_text, j.rules
    FROM judged AS j
    JOIN landed_outcomes AS l USING (line_number)
    WHERE cardinality(j.rules) > 0
    RETURNING line_number
)
DELETE FROM landed_outcomes USING moved WHERE landed_outcomes.line_number = moved.line_number
