-- Return the models that the same code fitted on the same rows.
SELECT kind, model_version FROM models WHERE fingerprint = %(fingerprint)s
ORDER BY kind DESC
