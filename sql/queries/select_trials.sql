-- Return the trials of one training, the simplest first.
SELECT trial, place, algorithm, parameters, folds, calibration_slope, calibration_intercept, seconds,
       steps, fairness
FROM trials
WHERE fingerprint = %(fingerprint)s
ORDER BY place
