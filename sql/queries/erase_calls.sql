-- Take the applications of one loan out of the scorings on demand. A call of that loan alone is deleted.
WITH of_loan AS (
    SELECT c.called_on, c.call_id, n.kept, n.input, n.output
    FROM calls AS c
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE NOT is_of_loan) AS kept,
               jsonb_agg(value ORDER BY ordinality) FILTER (WHERE NOT is_of_loan) AS input,
               jsonb_agg(answer ORDER BY ordinality) FILTER (WHERE NOT is_of_loan) AS output
        FROM (
            SELECT i.value, i.ordinality, c.output -> (i.ordinality::int - 1) AS answer,
                   coalesce(%(text)s IN (
                       i.value ->> 'loan_id', c.output -> (i.ordinality::int - 1) ->> 'loan_id'
                   ), false) AS is_of_loan
            FROM jsonb_array_elements(c.input) WITH ORDINALITY AS i
        ) AS each
    ) AS n
    WHERE n.kept < c.applications
), deleted AS (
    DELETE FROM calls AS c USING of_loan AS o
    WHERE o.kept = 0 AND c.called_on = o.called_on AND c.call_id = o.call_id
)
UPDATE calls AS c SET applications = o.kept, input = o.input, output = o.output
FROM of_loan AS o
WHERE o.kept > 0 AND c.called_on = o.called_on AND c.call_id = o.call_id
