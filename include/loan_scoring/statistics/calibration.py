"""Measure the calibration of probabilities, and correct probabilities that are not calibrated.

Calibration is measured as a slope and intercept, or as a curve.
"""

from collections.abc import Iterator
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
    y: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the slopes and intercepts of many resamples, shape (resamples,) each.

    Newton's method runs for all resamples at once, with the closed formula for two unknowns. The
    start is the solution for equal weights, because each resample's solution is near this start. If
    a resample does not converge, `slope_and_intercept` solves that resample alone.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
        weights: how often each resample contains each loan, shape (resamples, rows).
    """
    start = slope_and_intercept(y, probability)
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


def _information(design: np.ndarray, curvature: np.ndarray) -> np.ndarray:
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


DEGREE = 3
"""Degree of the calibration curve's polynomial.

A polynomial of degree 1 is not enough, because a line cannot correct a model that is wrong only at
high scores.
"""
REACH = (0.005, 0.995)
"""Lowest and highest quantile of the log-odds at which the correction is fitted.

Below the lowest quantile and above the highest quantile the correction is constant, because too few
loans are there to fit the correction.
"""


@dataclass(frozen=True)
class CalibrationCurve:
    """A cubic correction of a model's log-odds, fitted to observed outcomes.

    The corrected log-odds are x + sum of c_k u^k. Here x are the model's log-odds, and c_k are the
    `coefficients`. The value u is x, clipped to [`lowest`, `highest`] and scaled to [-1, 1]. If
    there are no coefficients, the curve changes no probability. `covariance` is the covariance
    matrix of the coefficients.
    """

    coefficients: list[float]
    covariance: list[list[float]]
    lowest: float
    highest: float

    def corrected(self, probability: np.ndarray) -> np.ndarray:
        """Return the corrected probabilities, shape (rows,)."""
        odds, powers = self._terms(probability)
        return np.asarray(expit(odds + powers @ np.array(self.coefficients)))

    def draws(
        self, probability: np.ndarray, count: int, dice: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Yield the corrected probabilities of random curves, shape (rows,) for each curve.

        The spread of the random curves shows how uncertain the fitted curve is.

        Args:
            probability: predicted probabilities, shape (rows,).
            count: number of random curves.
            dice: random generator that draws the coefficients of each curve, with `covariance`.
        """
        odds, powers = self._terms(probability)
        drawn = np.zeros((count, 0))
        if self.coefficients:
            drawn = dice.multivariate_normal(self.coefficients, self.covariance, count)
        for coefficients in drawn:
            yield np.asarray(expit(odds + powers @ coefficients))

    def variance_of_sum(self, probability: np.ndarray, slopes: np.ndarray) -> float:
        """Return the variance that `covariance` gives to a sum over loans, by the delta method.

        Args:
            probability: predicted probabilities, shape (rows,).
            slopes: derivative of the sum by each loan's corrected log-odds, shape (rows,). For the
                sum of the corrected probabilities p these are p (1 - p).
        """
        _, powers = self._terms(probability)
        by_coefficient = slopes @ powers
        if not self.coefficients:
            return 0.0
        return float(by_coefficient @ np.array(self.covariance) @ by_coefficient)

    def _terms(self, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        odds = log_odds(probability)
        return odds, _powers(odds, self.lowest, self.highest)[:, : len(self.coefficients)]


AS_THEY_ARE = CalibrationCurve([], [], 0.0, 0.0)
"""The curve that changes no probability."""


def fit_calibration_curve(y: np.ndarray, probability: np.ndarray) -> CalibrationCurve:
    """Fit the calibration curve to loans that the model was not fitted on.

    The curve is a logistic regression with the log-odds as offset, solved by Newton's method. This
    extends the regression of Cox (1958) with more terms, as in Dalton (2013), Statistics in
    Medicine 32, 2738-2754. Each coefficient has a standard normal prior, so that few loans give a
    wide interval instead of an infinite interval.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted probabilities, shape (rows,).
    """
    odds = log_odds(probability)
    lowest, highest = (float(each) for each in np.quantile(odds, REACH))
    design = _powers(odds, lowest, highest)
    found, prior = np.zeros(DEGREE + 1), np.eye(DEGREE + 1)
    for _ in range(100):
        p = expit(odds + design @ found)
        information = _information(design, p * (1 - p)) + prior
        step = np.linalg.solve(information, design.T @ (y - p) - found)
        found = found + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < SETTLED:
            break
    return CalibrationCurve(found.tolist(), np.linalg.inv(information).tolist(), lowest, highest)


def _powers(odds: np.ndarray, lowest: float, highest: float) -> np.ndarray:
    """Return the powers 0 to DEGREE of scaled log-odds, shape (rows, DEGREE + 1).

    The log-odds are first clipped to [`lowest`, `highest`] and then scaled to [-1, 1].
    """
    width = highest - lowest
    place = np.clip(odds, lowest, highest) - (lowest + highest) / 2
    return np.vander(2 * place / width if width else place, DEGREE + 1, increasing=True)


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
