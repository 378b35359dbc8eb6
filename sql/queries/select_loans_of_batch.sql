-- Return those of the given loans that belong to a batch.
SELECT loan_id FROM loans
WHERE loan_id = ANY(ARRAY(SELECT unnest(%(loan_ids)s::loan_key[]))) AND batch_id = %(batch_id)s
