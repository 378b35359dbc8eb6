-- Return the revisions of a batch, the newest first.
SELECT revision, state, is_current, sha256, source, received, accepted, quarantined, withdrawn_at,
       withdrawn_by, withdrawal_comment, ignored_columns, header, delimiter, corrects_revision,
       origin_sha256, rules_sha256, target_sha256, kind
FROM batches
WHERE batch_id = %(batch_id)s
ORDER BY revision DESC
