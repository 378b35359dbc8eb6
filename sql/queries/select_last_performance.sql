-- Return how well the last batches were ranked: by scores, by outcomes, and on the hold-out.
SELECT batch_id, state, estimated_auc, estimated_auc_lower, estimated_auc_upper, realised_auc,
       baseline_auc, realised_loans
FROM (SELECT * FROM performance_by_batch ORDER BY batch_id DESC LIMIT %(batches)s) AS last
ORDER BY batch_id
