-- Return the counts of a run's slices and of its score rows, to be compared before it is published.
SELECT
    (SELECT count(*) FROM mini_batches
      WHERE scoring_run_id = %(scoring_run_id)s AND state = 'planned') AS unscored_mini_batches,
    count(*) AS rows,
    count(default_probability) AS scored,
    count(exclusion_reason) AS referred
FROM scores
WHERE scoring_run_id = %(scoring_run_id)s AND batch_id = %(batch_id)s
