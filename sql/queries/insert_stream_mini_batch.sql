-- Record a scored micro-batch as the next mini-batch of the run of an open day. Return its number.
INSERT INTO mini_batches
    (scoring_run_id, mini_batch, first_loan_id, last_loan_id, applications, state, scored, referred,
     seconds, scored_at)
SELECT %(scoring_run_id)s, coalesce(max(mini_batch), -1) + 1, %(first_loan_id)s, %(last_loan_id)s,
       %(applications)s, 'scored', %(scored)s, %(referred)s, %(seconds)s, now()
FROM mini_batches
WHERE scoring_run_id = %(scoring_run_id)s
RETURNING mini_batch
