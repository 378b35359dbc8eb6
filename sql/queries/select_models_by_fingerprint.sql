-- Return the models that were fitted on the same rows by the same code.
SELECT kind, model_version FROM models WHERE fingerprint = %(fingerprint)s
ORDER BY kind DESC
