"""Move the probabilities of a model to a long-run default rate, and back for comparisons.

All log-odds move by one number, the prior correction of King and Zeng (2001), "Logistic regression
in rare events data", Political Analysis 9, 137-163. So ranks and the calibration slope stay. The
rate of the training set stays the expectation of what happens next; the long-run rate is that of a
whole cycle (EBA/GL/2017/16, section 5.3.5). Gates and tests of outcomes go by the former.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from loan_scoring.models.estimators import Calibrated
from loan_scoring.statistics.calibration import at_rate, log_odds, recalibrate


def move_to_rate(
    model: Pipeline, probability: np.ndarray, target: float
) -> tuple[Pipeline, dict[str, float]]:
    """Return the model with all log-odds moved, so that its mean probability is `target`.

    Args:
        model: fitted pipeline, calibrated or not.
        probability: its probabilities on the training set, shape (rows,).
        target: long-run default rate.

    Returns:
        the model, and `target`, `shift` of the log-odds and `mean_before`, ready for JSON.
    """
    moved = at_rate(probability, target * len(probability))
    middle = int(np.argmin(np.abs(log_odds(probability))))  # where log-odds are the most exact
    shift = float(log_odds(moved[[middle]])[0] - log_odds(probability[[middle]])[0])
    last = model[-1]
    slope, intercept, classifier = 1.0, 0.0, last
    if isinstance(last, Calibrated):
        slope, intercept, classifier = last.slope, last.intercept, last.classifier
    calibrated = Calibrated(classifier, slope, intercept + shift)
    calibrated.classes_ = classifier.classes_
    figures = {"target": target, "shift": shift, "mean_before": float(np.mean(probability))}
    return Pipeline([*model.steps[:-1], ("classify", calibrated)]), figures


def shift_of(evaluation: Mapping[str, Any] | None) -> float:
    """Return by how much training moved a model's log-odds to its long-run rate, mostly 0."""
    return float(((evaluation or {}).get("long_run") or {}).get("shift", 0.0))


def before_shift(evaluation: Mapping[str, Any] | None, probability: np.ndarray) -> np.ndarray:
    """Return probabilities as they were before they were moved to a long-run rate, shape (rows,).

    Args:
        evaluation: evaluation of the model that gave the probabilities.
        probability: its probabilities, shape (rows,).
    """
    shift = shift_of(evaluation)
    return recalibrate(probability, 1.0, -shift) if shift else probability
