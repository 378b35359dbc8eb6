-- Return the name of every registered artifact, and the hash that its file must have.
SELECT artifact AS name, artifact_sha256 AS sha256 FROM models
UNION
SELECT baseline_artifact, baseline_sha256 FROM models WHERE baseline_artifact IS NOT NULL
