-- Return the number of mini-batches that are not scored, and the number of score rows of a scoring run.
-- Both are checked before the run is published.
SELECT
    (SELECT count(*) FROM mini_batches
      WHERE scoring_run_id = %(scoring_run_id)s AND state = 'planned') AS unscored_mini_batches,
    count(*) AS rows,
    count(default_probability) AS scored,
    count(exclusion_reason) AS referred
FROM scores
WHERE scoring_run_id = %(scoring_run_id)s AND batch_id = %(batch_id)s
