-- Return one model version with all columns.
SELECT * FROM models WHERE model_version = %(model_version)s
