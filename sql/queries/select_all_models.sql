-- Return every model version in the order of its number, to copy all of them to MLflow.
SELECT model_version, kind, algorithm, parameters, features, metrics, training_data, fingerprint,
       code_version, artifact, artifact_sha256, leaks, created_at
FROM models
ORDER BY kind, number
