-- Return the estimated AUC, the realised AUC and the baseline's AUC of the last batches.
SELECT batch_id, state, estimated_auc, estimated_auc_lower, estimated_auc_upper, realised_auc,
       baseline_auc, realised_loans, outcomes_as_of
FROM (SELECT * FROM performance_by_batch ORDER BY batch_id DESC LIMIT %(batches)s) AS last
ORDER BY batch_id
