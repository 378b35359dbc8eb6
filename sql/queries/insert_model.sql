-- Register a fitted model under the next version number of its kind.
INSERT INTO models
    (model_version, kind, number, algorithm, parameters, features, metrics, training_data,
     fingerprint, code_version, artifact, artifact_sha256,
     baseline, baseline_artifact, baseline_sha256, leaks, evaluation)
SELECT
    %(kind)s || '-' || next.number, %(kind)s, next.number, %(algorithm)s, %(parameters)s,
    %(features)s, %(metrics)s, %(training_data)s, %(fingerprint)s, %(code_version)s,
    %(artifact)s, %(artifact_sha256)s, %(baseline)s, %(baseline_artifact)s, %(baseline_sha256)s,
    %(leaks)s, %(evaluation)s
FROM (SELECT coalesce(max(number), 0) + 1 AS number FROM models WHERE kind = %(kind)s) AS next
RETURNING model_version
