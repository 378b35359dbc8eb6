-- Return the personas of a version as they were at training.
SELECT metrics FROM models WHERE model_version = %(model_version)s
