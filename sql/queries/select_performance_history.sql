-- Return the estimated and realised performance of the scores of the given batches, the oldest first.
SELECT batch_id, state, realised_loans, estimated_auc, estimated_auc_lower,
       estimated_auc_upper, realised_auc, realised_auc_lower, realised_auc_upper,
       baseline_auc, estimated_default_rate, realised_default_rate, baseline_default_rate,
       expected_loss_of_approved, realised_loss_of_approved, outcomes_as_of
FROM performance_by_batch
WHERE batch_id = ANY (%(batch_ids)s)
ORDER BY batch_id
