-- Return the last comparisons of scans with a classifier's training, the newest first.
SELECT batch_id, model_version, pages, figures, drifted, checked_at
FROM scanner_checks
WHERE model_version = %(model_version)s
ORDER BY batch_id DESC
LIMIT %(most)s
