-- For each current scoring run, count the scored loans that have an outcome, and the loans on which the
-- metrics were measured. Return the last change that gave loans of the batch another outcome or took it
-- away, and the last change before the metrics were measured.
-- Return how many decisions people have made on the batch, and how many when it was measured.
-- The metric `ddm` is measured on the whole stream of the model's loans. Outcomes are not counted if all
-- loans were measured already and no outcome changed since, or if retention dropped the rows.
SELECT r.scoring_run_id, r.batch_id, r.propensity_version, r.scored,
       CASE WHEN gone.is_dropped THEN coalesce(rate.loans, 0)
            WHEN rate.loans = r.scored AND changed.last_change <= measured.last_change
            THEN r.scored
            -- As an array: the planner has no statistics of rows just written and would choose a bad
            -- join.
            ELSE (SELECT count(*)
                  FROM outcomes AS o
                  WHERE o.loan_id = ANY(ARRAY(
                      SELECT s.loan_id FROM scores AS s
                      WHERE s.batch_id = r.batch_id AND s.scoring_run_id = r.scoring_run_id
                        AND s.default_probability IS NOT NULL
                  ))) END AS outcomes,
       gone.is_dropped,
       rate.loans AS measured_loans, stream.loans AS measured_stream,
       changed.last_change, measured.last_change AS measured_change,
       (SELECT count(*) FROM approvals AS a WHERE a.batch_id = r.batch_id) AS decisions,
       r.measured_decisions
FROM scoring_runs AS r
LEFT JOIN performance AS rate
    ON rate.scoring_run_id = r.scoring_run_id AND rate.segment = 'all'
   AND rate.metric = 'default_rate' AND rate.basis = 'realised'
LEFT JOIN performance AS stream
    ON stream.scoring_run_id = r.scoring_run_id AND stream.segment = 'all'
   AND stream.metric = 'ddm' AND stream.basis = 'realised'
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM dropped_partitions AS d
                   WHERE d.month = left(r.batch_id, 7) AND d.table_name <> 'calls') AS is_dropped
) AS gone
CROSS JOIN LATERAL (
    SELECT coalesce(max(c.change_id), 0) AS last_change
    FROM outcome_changes_by_batch AS c
    WHERE c.batch_id = r.batch_id
) AS changed
CROSS JOIN LATERAL (SELECT coalesce(rate.outcomes_change_id, 0) AS last_change) AS measured
WHERE r.is_current
ORDER BY r.batch_id
