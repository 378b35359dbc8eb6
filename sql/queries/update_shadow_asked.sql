-- Record that a person is asked about the open shadow after a night, unless another night asked before.
UPDATE shadows SET asked_batch_id = %(batch_id)s
WHERE ended_at IS NULL AND propensity_version = %(propensity_version)s
  AND coalesce(asked_batch_id, %(batch_id)s) = %(batch_id)s
