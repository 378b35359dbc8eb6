-- Plan a scoring run; the same work has the same id and is planned once.
INSERT INTO scoring_runs
    (scoring_run_id, batch_id, revision, propensity_version, personas_version, policy, state,
     applications)
VALUES
    (%(scoring_run_id)s, %(batch_id)s, %(revision)s, %(propensity_version)s,
     %(personas_version)s, %(policy)s, 'planned', %(applications)s)
ON CONFLICT (scoring_run_id) DO NOTHING
