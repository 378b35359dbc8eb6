-- Record the scored batches in which loans got another outcome or recovered amount, or lost it. A first
-- outcome is not recorded, because the counts show it.
INSERT INTO outcome_changes_by_batch (batch_id, change_id, loans)
SELECT batch_id, %(change_id)s, count(DISTINCT loan_id)
FROM scores
WHERE loan_id = ANY(ARRAY(SELECT loan_id FROM changed_outcomes
                          WHERE was_default IS NOT NULL
                            AND (is_default, recovered)
                                IS DISTINCT FROM (was_default, was_recovered)))
GROUP BY batch_id
