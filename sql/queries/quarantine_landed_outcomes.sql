-- Move outcomes that cannot be true from the landed rows to quarantine, with every rule they broke.
-- Of equal outcomes of a loan in one file the first stays; of contradicting ones none does.
WITH told AS (
    SELECT
        l.*,
        count(*) OVER earlier AS earlier_rows,
        bool_or(is_default) OVER loan AS is_default_somewhere,
        bool_and(is_default) OVER loan AS is_default_everywhere
    FROM landed_outcomes AS l
    WINDOW
        loan AS (PARTITION BY loan_id),
        earlier AS (
            PARTITION BY loan_id ORDER BY line_number
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )
), judged AS (
    SELECT
        t.line_number, t.raw_text,
        t.rules || array_remove(ARRAY[
            CASE WHEN t.earlier_rows > 0 THEN 'duplicate_key:loan_id' END,
            CASE WHEN a.batch_id IS NULL THEN 'unknown_loan:loan_id' END,
            CASE WHEN o.is_default <> t.is_default
                   OR t.is_default IS NOT NULL
                  AND t.is_default_somewhere <> t.is_default_everywhere
                 THEN 'contradicting_outcome:is_default' END,
            CASE WHEN a.batch_id <> 'history' AND t.observed_on::text COLLATE "C" < a.batch_id
                 THEN 'outcome_before_application:observed_on' END
        ], NULL) AS rules
    FROM told AS t
    LEFT JOIN outcomes AS o USING (loan_id)
    LEFT JOIN LATERAL (
        SELECT min(batch_id) AS batch_id FROM current_applications WHERE loan_id = t.loan_id
    ) AS a ON true
    WHERE t.loan_id IS NOT NULL
    UNION ALL
    SELECT line_number, raw_text, rules FROM landed_outcomes WHERE loan_id IS NULL
), moved AS (
    INSERT INTO quarantine (batch_id, revision, line_number, raw_text, rules)
    SELECT %(drop_id)s, %(revision)s, line_number, raw_text, rules
    FROM judged
    WHERE cardinality(rules) > 0
    RETURNING line_number
)
DELETE FROM landed_outcomes USING moved WHERE landed_outcomes.line_number = moved.line_number
