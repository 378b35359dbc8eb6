-- Move outcomes that contradict what is known from the landed rows to quarantine.
WITH judged AS (
    SELECT
        l.line_number, l.raw_text,
        array_remove(ARRAY[
            CASE WHEN a.batch_id IS NULL THEN 'unknown_loan:loan_id' END,
            CASE WHEN o.is_default <> l.is_default THEN 'contradicting_outcome:is_default' END,
            CASE WHEN a.batch_id <> 'history' AND l.observed_on::text COLLATE "C" < a.batch_id
                 THEN 'outcome_before_application:observed_on' END
        ], NULL) AS rules
    FROM landed_outcomes AS l
    LEFT JOIN outcomes AS o USING (loan_id)
    LEFT JOIN LATERAL (
        SELECT min(batch_id) AS batch_id FROM applications WHERE loan_id = l.loan_id
    ) AS a ON true
), moved AS (
    INSERT INTO quarantine (batch_id, revision, line_number, raw_text, rules)
    SELECT %(drop_id)s, %(revision)s, line_number, raw_text, rules
    FROM judged
    WHERE cardinality(rules) > 0
    RETURNING line_number
)
DELETE FROM landed_outcomes USING moved WHERE landed_outcomes.line_number = moved.line_number
