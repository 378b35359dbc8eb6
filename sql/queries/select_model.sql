-- One model version, whole.
SELECT * FROM models WHERE model_version = %(model_version)s
