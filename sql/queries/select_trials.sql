-- The trials of one training, from the simplest on.
SELECT trial, place, algorithm, parameters, folds, calibration_slope, calibration_intercept, seconds
FROM trials
WHERE fingerprint = %(fingerprint)s
ORDER BY place
