-- Replace a loan as the bound of a mini-batch by its neighbour in the batch, so that no bound moves past
-- another loan. A mini-batch of this loan alone gets the pseudonym.
UPDATE mini_batches AS m
SET first_loan_id = CASE WHEN m.first_loan_id <> %(loan_id)s::loan_key THEN m.first_loan_id
                    ELSE coalesce(n.following, %(pseudonym)s::loan_key) END,
    last_loan_id = CASE WHEN m.last_loan_id <> %(loan_id)s::loan_key THEN m.last_loan_id
                   ELSE coalesce(n.preceding, %(pseudonym)s::loan_key) END
FROM (
    SELECT b.scoring_run_id, b.mini_batch,
           (SELECT min(a.loan_id) FROM applications AS a
            WHERE a.batch_id = r.batch_id AND a.revision = r.revision
              AND a.loan_id > %(loan_id)s::loan_key AND a.loan_id <= b.last_loan_id) AS following,
           (SELECT max(a.loan_id) FROM applications AS a
            WHERE a.batch_id = r.batch_id AND a.revision = r.revision
              AND a.loan_id < %(loan_id)s::loan_key AND a.loan_id >= b.first_loan_id) AS preceding
    FROM mini_batches AS b
    JOIN scoring_runs AS r USING (scoring_run_id)
    WHERE %(loan_id)s::loan_key IN (b.first_loan_id, b.last_loan_id)
) AS n
WHERE m.scoring_run_id = n.scoring_run_id AND m.mini_batch = n.mini_batch
