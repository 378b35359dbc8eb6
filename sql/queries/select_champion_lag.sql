-- Whether the propensity champion was fitted on the history's current revision.
SELECT
    b.revision,
    c.model_version,
    coalesce(c.training_data -> 'batches' @> jsonb_build_array(
        jsonb_build_object('batch_id', b.batch_id, 'revision', b.revision)), false) AS is_fitted_on_it
FROM batches AS b
LEFT JOIN champions AS c ON c.kind = 'propensity'
WHERE b.batch_id = 'history' AND b.is_current
