-- Return the batches that are withdrawn and have no current revision.
SELECT batch_id, revision, withdrawn_at, withdrawn_by, withdrawal_comment
FROM batches AS b
WHERE withdrawn_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM batches AS c WHERE c.batch_id = b.batch_id AND c.is_current)
ORDER BY batch_id, revision
