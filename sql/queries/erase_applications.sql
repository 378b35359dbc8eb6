-- Delete the applications of a loan. They are counted out of their revisions and out of runs that are
-- not published, so that such a batch can still be scored and published.
WITH gone AS (
    DELETE FROM applications WHERE loan_id = %(loan_id)s::loan_key
    RETURNING batch_id, revision
), runs AS (
    UPDATE scoring_runs AS r
    SET applications = r.applications - 1
    FROM gone
    WHERE r.state = 'planned' AND r.batch_id = gone.batch_id AND r.revision = gone.revision
      AND NOT EXISTS (
          SELECT FROM scores AS s
          WHERE s.batch_id = r.batch_id AND s.scoring_run_id = r.scoring_run_id
            AND s.loan_id = %(loan_id)s::loan_key
      )
    RETURNING r.scoring_run_id
), slices AS (
    UPDATE mini_batches AS m
    SET applications = m.applications - 1
    FROM runs
    WHERE m.scoring_run_id = runs.scoring_run_id AND m.state = 'planned'
      AND %(loan_id)s::loan_key BETWEEN m.first_loan_id AND m.last_loan_id
)
UPDATE batches AS b
SET received = received - 1, accepted = accepted - 1
FROM gone WHERE b.batch_id = gone.batch_id AND b.revision = gone.revision
