-- Note that nothing is left to erase. From here on nothing names the loan.
UPDATE erasures SET finished_at = clock_timestamp(), loan_id = NULL WHERE erasure_id = %(erasure_id)s
