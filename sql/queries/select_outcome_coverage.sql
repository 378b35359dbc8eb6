-- For each current scoring run, return how many outcomes counted when it was last measured, and what has
-- changed since: outcomes of the batch that became another one or were taken away, and decisions of
-- people. `outcomes` counts the scored loans with an outcome. It is null if the contract lets only some
-- loans count (`only_some`), for those are counted loan by loan, and if retention dropped the rows.
SELECT r.scoring_run_id, r.batch_id, r.revision, r.propensity_version, r.lookup_delivery_id, r.scored,
       gone.is_dropped, rate.loans AS measured_loans, changed.last_change,
       coalesce(rate.outcomes_change_id, 0) AS measured_change,
       known.due AS known_due, known.known AS known_known, known.is_settled, known.counted_by,
       known.outcomes_as_of, known.outcomes_change_id AS known_change,
       decided.last_decision IS DISTINCT FROM known.decided_at AS is_decided_since,
       CASE WHEN gone.is_dropped OR %(only_some)s THEN NULL
            WHEN rate.loans = r.scored AND changed.last_change <= coalesce(rate.outcomes_change_id, 0)
            THEN r.scored
            -- As an array: the planner has no statistics of rows just written and would choose a bad
            -- join.
            ELSE (SELECT count(*)
                  FROM outcomes AS o
                  WHERE o.loan_id = ANY(ARRAY(
                      SELECT s.loan_id FROM champion_scores AS s
                      WHERE s.batch_id = r.batch_id AND s.scoring_run_id = r.scoring_run_id
                        AND s.default_probability IS NOT NULL
                  ))) END AS outcomes
FROM scoring_runs AS r
LEFT JOIN performance AS rate
    ON rate.scoring_run_id = r.scoring_run_id AND rate.segment = 'all'
   AND rate.metric = 'default_rate' AND rate.basis = 'realised'
LEFT JOIN outcome_coverage AS known ON known.scoring_run_id = r.scoring_run_id
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM dropped_partitions AS d
                   WHERE d.month = left(r.batch_id, 7) AND d.table_name IN ('applications', 'scores')) AS is_dropped
) AS gone
CROSS JOIN LATERAL (
    SELECT coalesce(max(c.change_id), 0) AS last_change
    FROM outcome_changes_by_batch AS c
    WHERE c.batch_id = r.batch_id
) AS changed
CROSS JOIN LATERAL (
    SELECT (SELECT a.decided_at FROM approvals AS a WHERE a.batch_id = r.batch_id
            ORDER BY a.approval_id DESC LIMIT 1) AS last_decision
) AS decided
WHERE r.is_current
ORDER BY r.batch_id
