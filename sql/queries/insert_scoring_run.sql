-- Plan a scoring run. The same work always has the same id, so it is planned only once.
INSERT INTO scoring_runs
    (scoring_run_id, batch_id, revision, propensity_version, personas_version, policy,
     applications, lookup_delivery_id, canary)
VALUES
    (%(scoring_run_id)s, %(batch_id)s, %(revision)s, %(propensity_version)s,
     %(personas_version)s, %(policy)s, %(applications)s, %(lookup_delivery_id)s, %(canary)s)
ON CONFLICT (scoring_run_id) DO NOTHING
