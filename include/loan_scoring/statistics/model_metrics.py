"""Calculate a propensity model's hold-out metrics, and read its parameters."""

from typing import Any

import numpy as np
from sklearn.metrics import (
    brier_score_loss,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)
from sklearn.pipeline import Pipeline

from loan_scoring.statistics.calibration import slope_and_intercept


def estimator_parameters(pipeline: Pipeline) -> dict[str, Any]:
    """Return the estimator's parameters, including the parameters of its calibration.

    Parameters that JSON cannot store are left out.
    """
    return {
        name: value
        for name, value in pipeline[-1].get_params(deep=True).items()
        if isinstance(value, bool | int | float | str | list | None)
    }


def holdout_metrics(
    y: np.ndarray, probability: np.ndarray, decline_from: float
) -> dict[str, float]:
    """Return a model's metrics on the hold-out, by name.

    Args:
        y: outcomes of the hold-out, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
        decline_from: probabilities equal to or above this threshold count as predicted defaults in
            F1, precision and recall.
    """
    auc = float(roc_auc_score(y, probability))
    false_positive, true_positive, _ = roc_curve(y, probability)
    declined = probability >= decline_from
    slope, intercept = slope_and_intercept(y, probability)
    return {
        "rows": len(y),
        "default_rate": float(np.mean(y)),
        "auc": auc,
        "gini": 2 * auc - 1,
        "ks": float(np.max(true_positive - false_positive)),
        "brier": float(brier_score_loss(y, probability)),
        "log_loss": float(log_loss(y, probability)),
        "f1": float(f1_score(y, declined)),
        "precision": float(precision_score(y, declined, zero_division=0.0)),
        "recall": float(recall_score(y, declined)),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
    }
