-- Plan the run in which the champion decides all loans of a run with a canary, with its mini-batches.
WITH planned AS (
    INSERT INTO scoring_runs
        (scoring_run_id, batch_id, revision, propensity_version, personas_version, policy,
         applications, lookup_delivery_id)
    SELECT %(champions_run_id)s, batch_id, revision, propensity_version, personas_version, policy,
           applications, lookup_delivery_id
    FROM scoring_runs
    WHERE scoring_run_id = %(scoring_run_id)s
    ON CONFLICT (scoring_run_id) DO NOTHING
    RETURNING scoring_run_id
)
INSERT INTO mini_batches (scoring_run_id, mini_batch, first_loan_id, last_loan_id, applications)
SELECT planned.scoring_run_id, m.mini_batch, m.first_loan_id, m.last_loan_id, m.applications
FROM planned
CROSS JOIN mini_batches AS m
WHERE m.scoring_run_id = %(scoring_run_id)s
