-- Return the metrics of a personas version, which describe the personas at training.
SELECT metrics FROM models WHERE model_version = %(model_version)s
