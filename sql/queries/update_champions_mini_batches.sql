-- Record that the mini-batches of the champion's run are scored, by the counts of their scores.
UPDATE mini_batches AS m
SET state = 'scored', scored = n.scored, referred = n.referred, seconds = 0, scored_at = now()
FROM (
    SELECT s.mini_batch, count(s.default_probability) AS scored, count(s.exclusion_reason) AS referred
    FROM scores AS s
    JOIN scoring_runs AS r USING (scoring_run_id, batch_id)
    WHERE r.scoring_run_id = %(champions_run_id)s
    GROUP BY s.mini_batch
) AS n
WHERE m.scoring_run_id = %(champions_run_id)s AND m.mini_batch = n.mini_batch AND m.state = 'planned'
