-- Return how many models were measured on loans of a hold-out, by its rule, seed and share.
SELECT count(*) AS looks
FROM models AS m
WHERE m.kind = 'propensity'
    AND m.evaluation -> 'holdout' @> %(policy)s::jsonb
    AND (%(begin)s::date IS NULL OR m.evaluation -> 'holdout' ->> 'begin' IS NULL
        OR (m.evaluation -> 'holdout' ->> 'begin')::date
            + (m.evaluation -> 'holdout' ->> 'days')::integer > %(begin)s::date)
    AND (%(until)s::text IS NULL
        OR m.number <= (SELECT u.number FROM models AS u WHERE u.model_version = %(until)s))
