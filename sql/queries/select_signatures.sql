-- Return the signatures on a propensity version, or on all versions, the oldest first.
SELECT model_version, signed_as, signed_by, signed_at, comment, artifact_sha256, personas_sha256
FROM model_signatures
WHERE %(model_version)s::text IS NULL OR model_version = %(model_version)s
ORDER BY signature_id
