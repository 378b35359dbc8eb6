-- Record a trial of training. If another process recorded the trial first, that row stays.
INSERT INTO trials
    (fingerprint, trial, place, algorithm, parameters, folds, auc, auc_standard_error, f1_paid,
     f1_default, brier, log_loss, calibration_slope, calibration_intercept, loans, seconds,
     steps, fairness)
VALUES
    (%(fingerprint)s, %(trial)s, %(place)s, %(algorithm)s, %(parameters)s, %(folds)s, %(auc)s,
     %(auc_standard_error)s, %(f1_paid)s, %(f1_default)s, %(brier)s, %(log_loss)s,
     %(calibration_slope)s, %(calibration_intercept)s, %(loans)s, %(seconds)s, %(steps)s,
     %(fairness)s)
ON CONFLICT (fingerprint, trial) DO NOTHING
