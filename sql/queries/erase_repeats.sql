-- Take a loan out of the lists of repeated outcomes.
WITH gone AS (
    DELETE FROM outcome_repeats WHERE loan_ids <@ ARRAY[%(loan_id)s::loan_key]
)
UPDATE outcome_repeats SET loan_ids = array_remove(loan_ids, %(loan_id)s::loan_key)
WHERE %(loan_id)s::loan_key = ANY (loan_ids) AND NOT loan_ids <@ ARRAY[%(loan_id)s::loan_key]
