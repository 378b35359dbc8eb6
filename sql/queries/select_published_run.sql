-- Return the last published run of a batch revision with given models and policy.
SELECT r.scoring_run_id, r.canary
FROM scoring_runs AS r
WHERE r.batch_id = %(batch_id)s AND r.revision = %(revision)s AND r.run_kind = 'night'
  AND r.propensity_version = %(propensity_version)s AND r.personas_version = %(personas_version)s
  AND r.policy = %(policy)s::jsonb AND r.state = 'published'
ORDER BY (SELECT max(p.publication_id) FROM publications AS p
          WHERE p.scoring_run_id = r.scoring_run_id) DESC NULLS LAST
LIMIT 1
