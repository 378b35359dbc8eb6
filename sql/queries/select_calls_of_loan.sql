-- Return the applications of one loan that were scored on demand.
SELECT c.called_on, c.call_id, c.called_at, c.called_by, c.purpose, i.value AS input,
       c.output -> (i.ordinality::int - 1) AS output
FROM calls AS c
CROSS JOIN LATERAL jsonb_array_elements(c.input) WITH ORDINALITY AS i
WHERE %(text)s IN (i.value ->> 'loan_id', c.output -> (i.ordinality::int - 1) ->> 'loan_id')
ORDER BY c.called_at, i.ordinality
