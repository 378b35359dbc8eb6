-- Return how many loans of the given scoring runs the policy left to a person, and how many of these
-- people have decided.
SELECT r.batch_id, r.published_at,
       coalesce((d.counts ->> 'review')::bigint, 0) + coalesce((d.counts ->> 'refer')::bigint, 0)
           AS left_to_people,
       (SELECT count(DISTINCT a.loan_id) FROM approvals AS a
         WHERE a.batch_id = r.batch_id AND a.scoring_run_id = r.scoring_run_id
           AND a.suggestion IN ('review', 'refer')
           AND a.decision IN ('approve', 'decline')) AS decided
FROM scoring_runs AS r
JOIN distributions AS d
    ON d.scoring_run_id = r.scoring_run_id AND d.kind = 'prediction' AND d.feature = 'decision'
WHERE r.scoring_run_id = ANY (%(scoring_run_ids)s)
ORDER BY r.batch_id
