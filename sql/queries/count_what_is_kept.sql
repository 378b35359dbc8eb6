-- Return how much of a portfolio is stored, and how much of that was published.
SELECT (SELECT count(*) FROM batches WHERE state = 'published') AS published_batches,
       (SELECT count(*) FROM loans) AS loans,
       (SELECT count(*) FROM models) AS models,
       (SELECT count(*) FROM outcomes) AS outcomes
