-- Return the drift level and the PSI of each column in the given scoring runs, and the tests that are not
-- stable, the worst first. The level is the worst level of all tests of the column: 0 stable,
-- 1 attention, 2 drifted. level_of_psi is the level of the PSI alone.
SELECT d.scoring_run_id, d.kind, d.feature, max(v.level) AS level,
       max(d.effect) FILTER (WHERE d.test = 'psi') AS psi,
       max(v.level) FILTER (WHERE d.test = 'psi') AS level_of_psi,
       array_agg(d.test ORDER BY v.level DESC, d.test) FILTER (WHERE v.level > 0) AS tests
FROM drift AS d
CROSS JOIN LATERAL (
    SELECT CASE d.level WHEN 'drifted' THEN 2 WHEN 'attention' THEN 1 ELSE 0 END AS level
) AS v
WHERE d.scoring_run_id = ANY (%(scoring_run_ids)s)
  -- A stable test other than the PSI changes nothing, unless the column has no PSI.
  AND (d.test = 'psi' OR d.level <> 'stable' OR d.kind IN ('joint', 'target', 'model'))
  AND (%(kind)s::text IS NULL OR d.kind = %(kind)s)
  AND (%(feature)s::text IS NULL OR d.feature = %(feature)s)
GROUP BY d.scoring_run_id, d.kind, d.feature
