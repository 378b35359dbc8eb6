-- Return the kind and the sha256 of the artifact of each of the given model versions.
SELECT kind, artifact_sha256
FROM models
WHERE model_version = ANY (%(versions)s)
