-- What a version saw at training, what each feature is worth to it, and its scores on the hold-out.
SELECT baseline, evaluation -> 'importance' -> 'features' AS importance,
       evaluation -> 'histogram' AS histogram
FROM models
WHERE model_version = %(model_version)s
