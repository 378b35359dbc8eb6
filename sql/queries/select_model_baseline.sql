-- Return the baseline of a model version, the importance of each feature, and the histogram of its
-- hold-out scores.
SELECT baseline, evaluation -> 'importance' -> 'features' AS importance,
       evaluation -> 'histogram' AS histogram
FROM models
WHERE model_version = %(model_version)s
