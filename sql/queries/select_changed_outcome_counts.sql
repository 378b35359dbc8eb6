-- Count the changed loans: with a first outcome, with another one than before, with another recovered
-- amount, and without an outcome now.
SELECT count(*) FILTER (WHERE was_default IS NULL) AS added,
       count(*) FILTER (WHERE is_default <> was_default) AS changed,
       count(*) FILTER (WHERE is_default = was_default AND recovered IS DISTINCT FROM was_recovered)
           AS recovered,
       count(*) FILTER (WHERE is_default IS NULL) AS removed
FROM changed_outcomes
