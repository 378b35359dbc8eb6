"""Measure the calibration of probabilities as a slope and intercept, and correct probabilities."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

SMALLEST = 1e-12
"""Probabilities are clipped to this distance from 0 and 1, so that their log-odds are finite."""
SETTLED = 1e-9
"""Newton's method has converged when a step changes each coefficient by less than this limit."""
NOISE = 1e-12
"""A likelihood that falls by less than this share has only been rounded. The step is not halved.

If it were, the last steps would be halved until they seem to have converged.
"""
TOLERANCE = 1e-6
"""Limit that replaces SETTLED in `slopes_and_intercepts`, which solves many resamples at once.

The limit can be larger than SETTLED, because the error after a step of Newton's method is only
about the square of the step.
"""


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Return the log-odds of probabilities, with finite log-odds for the probabilities 0 and 1."""
    return np.asarray(logit(np.clip(probability, SMALLEST, 1 - SMALLEST)))


def slope_and_intercept(
    y: np.ndarray, probability: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """Return slope and intercept of the logistic regression of outcomes on log-odds (Cox 1958).

    Slope 1 and intercept 0 mean that the probabilities are calibrated. A slope below 1 means that
    the predictions are too extreme. To calibrate the probabilities (Platt 1999), pass this slope
    and intercept to `recalibrate`.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
        weights: how often each row counts, shape (rows,). None means that each row counts once.

    Returns:
        Slope and intercept. Both values are nan if Newton's method does not converge, or if the
        likelihood has no maximum. There is no maximum if all outcomes are equal, if all
        probabilities are equal, or if the probabilities separate the outcomes perfectly.
    """
    weights = np.ones(len(y)) if weights is None else weights
    is_counted = weights > 0
    x, y = log_odds(probability)[is_counted], y[is_counted].astype(float)
    weights = weights[is_counted]
    nothing = (float("nan"), float("nan"))
    bad, good = x[y == 1], x[y == 0]
    if not len(bad) or not len(good) or bad.min() > good.max() or bad.max() < good.min():
        return nothing
    centre, spread = x.mean(), x.std()
    if spread < 1e-9:
        return nothing
    x = (x - centre) / spread
    a, b = spread, centre  # slope 1 and intercept 0, in terms of the scaled log-odds
    before = _log_likelihood(x, y, weights, a, b)
    for _ in range(100):
        p = expit(b + a * x)
        # NumPy's sums do not depend on the number of threads, as those of a matrix product do.
        residual, curve = weights * (y - p), weights * p * (1 - p)
        first, second = (residual * x).sum(), residual.sum()
        xx, x1, x0 = (curve * x * x).sum(), (curve * x).sum(), curve.sum()
        determinant = xx * x0 - x1 * x1
        if not determinant > 0:
            return nothing
        step = np.array([x0 * first - x1 * second, xx * second - x1 * first]) / determinant
        after = _log_likelihood(x, y, weights, a + step[0], b + step[1])
        while after < before - NOISE * abs(before) and np.abs(step).max() > SETTLED:
            step = step / 2
            after = _log_likelihood(x, y, weights, a + step[0], b + step[1])
        a, b, before = a + step[0], b + step[1], after
        if np.abs(step).max() < SETTLED:
            slope = float(a / spread)
            return slope, float(b - slope * centre)
    return nothing


def slopes_and_intercepts(
    y: np.ndarray, probability: np.ndarray, weights: np.ndarray, loans: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes and intercepts of many resamples, shape (resamples,) each.

    Newton's method runs for all resamples at once, with the closed formula for two unknowns. The
    start is the solution of what is resampled, because each resample's solution is near it. If a
    resample does not converge, `slope_and_intercept` solves that resample alone.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
        weights: how often each resample contains each row, shape (resamples, rows).
        loans: how many loans each row stands for, shape (rows,). None means one each.
    """
    start = slope_and_intercept(y, probability, loans)
    slopes = np.full(len(weights), start[0])
    intercepts = np.full(len(weights), start[1])
    if not np.isfinite(start[0]):
        return slopes, intercepts
    x = log_odds(probability)
    step = np.inf
    for _ in range(4):
        p = expit(intercepts[:, None] + slopes[:, None] * x)
        residual, curve = weights * (y - p), weights * p * (1 - p)
        first, second = residual.sum(axis=1), residual @ x
        a, b, c = curve.sum(axis=1), curve @ x, curve @ (x * x)
        determinant = a * c - b * b
        with np.errstate(divide="ignore", invalid="ignore"):
            move = np.stack([(c * first - b * second), (a * second - b * first)]) / determinant
        intercepts, slopes = intercepts + move[0], slopes + move[1]
        step = np.abs(move).max(axis=0)
        if (step < TOLERANCE).all():
            break
    for row in np.flatnonzero(~(step < TOLERANCE)):
        slopes[row], intercepts[row] = slope_and_intercept(y, probability, weights[row])
    return slopes, intercepts


def information_matrix(design: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Return the Fisher information matrix of a logistic regression, shape (columns, columns).

    Args:
        design: design matrix, shape (rows, columns).
        curvature: p (1 - p) of each row, multiplied by the row's weight, shape (rows,).
    """
    return np.asarray((design * curvature[:, None]).T @ design)


def _log_likelihood(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, slope: float, intercept: float
) -> float:
    z = intercept + slope * x
    return float((weights * (y * z - np.logaddexp(0, z))).sum())


def recalibrate(probability: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Return corrected probabilities: expit(intercept + slope * log-odds), shape (rows,)."""
    return np.asarray(expit(intercept + slope * log_odds(probability)))


def at_rate(probability: np.ndarray, defaults: float) -> np.ndarray:
    """Return probabilities whose log-odds all move by one number, so that their sum is `defaults`.

    The number is found by Newton's method on the logarithm of the sum's odds.

    Args:
        probability: probabilities between 0 and 1, shape (rows,).
        defaults: sum of the result, above 0 and below the number of rows.
    """
    odds, wanted = log_odds(probability), float(logit(defaults / len(probability)))
    moved = 0.0
    for _ in range(100):
        p = expit(odds + moved)
        mean = float(p.mean())
        step = (wanted - float(logit(mean))) * mean * (1 - mean) / float((p * (1 - p)).mean())
        moved += step
        if abs(step) < SETTLED:
            break
    return np.asarray(expit(odds + moved))


@dataclass(frozen=True)
class CalibrationLine:
    """The line that predicts observed log-odds from predicted log-odds.

    Slope 1 and intercept 0 mean perfect calibration. `standard_error` is the standard error of the
    slope.
    """

    slope: float
    intercept: float
    standard_error: float


def fit_calibration_line(y: np.ndarray, probability: np.ndarray) -> CalibrationLine:
    """Fit slope, intercept and the slope's standard error by maximum likelihood.

    The method is Cox (1958), Biometrika 45, 562-565. The slope is the calibration slope of
    Steyerberg (2019), Clinical Prediction Models, chapter 15. A slope below 1 means that the
    predictions are too extreme. A slope above 1 means that the predictions are not extreme enough.
    The standard error comes from the inverse of the Fisher information matrix.

    All values are nan if the likelihood has no maximum, for example if all predictions are equal.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
    """
    slope, intercept = slope_and_intercept(y, probability)
    if not np.isfinite(slope):
        return CalibrationLine(np.nan, np.nan, np.nan)
    design = np.column_stack([np.ones(len(y)), log_odds(probability)])
    predicted = expit(design @ np.array([intercept, slope]))
    information = design.T @ (design * (predicted * (1 - predicted))[:, None])
    return CalibrationLine(slope, intercept, float(np.sqrt(np.linalg.inv(information)[1, 1])))


def finite_or_none(value: Any) -> Any:
    """Return a number or a nested list with each nan replaced by None, because JSON has no nan."""
    if isinstance(value, list):
        return [finite_or_none(each) for each in value]
    return None if value != value else value
