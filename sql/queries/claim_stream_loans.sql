-- Enter loans in table `loans` for a batch. Return the loans that have been entered already, with
-- their batch. The order keeps two writers from waiting for each other.
WITH wanted AS (
    SELECT unnest(%(loan_ids)s::loan_key[]) AS loan_id
), claimed AS (
    INSERT INTO loans (loan_id, batch_id)
    SELECT loan_id, %(batch_id)s FROM wanted ORDER BY loan_id
    ON CONFLICT (loan_id) DO NOTHING
    RETURNING loan_id
)
SELECT loan_id FROM wanted EXCEPT SELECT loan_id FROM claimed
