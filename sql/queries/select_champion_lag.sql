-- Return whether the propensity champion was fitted on the current revision of the batch `history`,
-- and whether any propensity model that was fitted on that revision has a verdict.
SELECT
    b.revision,
    c.model_version,
    coalesce(c.training_data -> 'batches' @> told.batch, false) AS is_fitted_on_it,
    EXISTS (
        SELECT FROM promotions JOIN models AS m USING (model_version)
        WHERE m.kind = 'propensity' AND m.training_data -> 'batches' @> told.batch
    ) AS is_judged_on_it
FROM batches AS b
CROSS JOIN LATERAL (SELECT jsonb_build_array(
    jsonb_build_object('batch_id', b.batch_id, 'revision', b.revision)) AS batch) AS told
LEFT JOIN champions AS c ON c.kind = 'propensity'
WHERE b.batch_id = 'history' AND b.is_current
