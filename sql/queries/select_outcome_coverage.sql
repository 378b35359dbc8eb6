-- How many scored loans of each current run have an outcome, and how many it was measured on; ddm
-- is measured on all of the model's stream. A known outcome never changes: where all loans were
-- measured there is nothing to count.
SELECT r.scoring_run_id, r.batch_id, r.propensity_version, r.scored,
       coalesce(counted.outcomes, r.scored) AS outcomes,
       rate.loans AS measured_loans, stream.loans AS measured_stream
FROM scoring_runs AS r
LEFT JOIN performance AS rate
    ON rate.scoring_run_id = r.scoring_run_id AND rate.segment = 'all'
   AND rate.metric = 'default_rate' AND rate.basis = 'realised'
LEFT JOIN performance AS stream
    ON stream.scoring_run_id = r.scoring_run_id AND stream.segment = 'all'
   AND stream.metric = 'ddm' AND stream.basis = 'realised'
LEFT JOIN LATERAL (
    -- As an array: of rows that were just written the planner knows nothing, and a join goes wrong.
    SELECT count(*) AS outcomes
    FROM outcomes AS o
    WHERE o.loan_id = ANY(ARRAY(
        SELECT s.loan_id FROM scores AS s
        WHERE s.batch_id = r.batch_id AND s.scoring_run_id = r.scoring_run_id
          AND s.default_probability IS NOT NULL
    ))
) AS counted ON rate.loans IS DISTINCT FROM r.scored
WHERE r.is_current
ORDER BY r.batch_id
