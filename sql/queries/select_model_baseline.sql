-- Return a version's baseline, the weight of each feature in it, and its scores on the hold-out.
SELECT baseline, evaluation -> 'importance' -> 'features' AS importance,
       evaluation -> 'histogram' AS histogram
FROM models
WHERE model_version = %(model_version)s
