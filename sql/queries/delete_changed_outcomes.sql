-- Delete the outcomes of the changed loans.
DELETE FROM outcomes WHERE loan_id = ANY(ARRAY(SELECT loan_id FROM changed_outcomes
                                               WHERE was_default IS NOT NULL))
