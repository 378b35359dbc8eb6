-- Copy the champion's scores of a run with a canary to the champion's run, in mini-batches not scored yet.
INSERT INTO scores
SELECT (jsonb_populate_record(
    NULL::scores,
    score || jsonb_build_object('scoring_run_id', %(champions_run_id)s::text)
)).*
FROM (
    SELECT s.mini_batch, to_jsonb(s) AS score
    FROM scores AS s
    JOIN scoring_runs AS r USING (scoring_run_id)
    WHERE s.batch_id = %(batch_id)s AND s.scoring_run_id = %(scoring_run_id)s
      AND s.propensity_version = r.propensity_version
    UNION ALL
    SELECT c.mini_batch, to_jsonb(c)
    FROM shadow_scores AS c
    WHERE c.batch_id = %(batch_id)s AND c.scoring_run_id = %(scoring_run_id)s
) AS of_champion
WHERE mini_batch IN (SELECT mini_batch FROM mini_batches
                     WHERE scoring_run_id = %(champions_run_id)s AND state = 'planned')
