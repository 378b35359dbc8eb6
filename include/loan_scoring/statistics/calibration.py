"""Measure calibration (slope, intercept, curve) and correct probabilities by it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

SMALLEST = 1e-12
"""Probabilities are kept this far from 0 and 1, so that their log-odds are finite."""
SETTLED = 1e-9
"""Newton's method has converged when a step is below."""
TOLERANCE = 1e-6
"""The same for many resamples at once: the error after the step is about its square."""


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Return the log-odds of probabilities, finite for 0 and 1 too."""
    return np.asarray(logit(np.clip(probability, SMALLEST, 1 - SMALLEST)))


def slope_and_intercept(
    y: np.ndarray, probability: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """Return slope and intercept of the logistic regression of outcomes on log-odds (Cox 1958).

    They are 1 and 0 where the probabilities are calibrated; a slope below 1 means predictions that
    are too extreme. `recalibrate` with these two is Platt's calibration (1999).

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted, shape (rows,).
        weights: how often each row counts, shape (rows,); once where None.

    Returns:
        nan and nan where the likelihood has no maximum: one outcome only, equal probabilities, or
        probabilities that separate the outcomes perfectly.
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
    design = np.column_stack([(x - centre) / spread, np.ones(len(x))])
    found = np.array([spread, centre])  # slope 1, intercept 0
    before = _log_likelihood(design, y, weights, found)
    for _ in range(100):
        p = expit(design @ found)
        try:
            step = np.linalg.solve(
                _information(design, weights * p * (1 - p)), design.T @ (weights * (y - p))
            )
        except np.linalg.LinAlgError:
            return nothing
        after = _log_likelihood(design, y, weights, found + step)
        while after < before and np.abs(step).max() > 1e-10:
            step = step / 2
            after = _log_likelihood(design, y, weights, found + step)
        found, before = found + step, after
        if np.abs(step).max() < SETTLED:
            slope = float(found[0] / spread)
            return slope, float(found[1] - slope * centre)
    return nothing


def slopes_and_intercepts(
    y: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return `slope_and_intercept` for each row of weights, shapes (resamples,).

    Newton's method for all rows at once, in closed form for two unknowns. It starts at the
    solution for equal weights, which is near; a row that does not converge is solved on its own.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted, shape (rows,).
        weights: how often each loan counts, shape (resamples, rows).
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
    """Return the information of a logistic regression, shape (columns, columns).

    Args:
        design: shape (rows, columns).
        curvature: p (1 - p) of each row, times its weight, shape (rows,).
    """
    return np.asarray((design * curvature[:, None]).T @ design)


def _log_likelihood(
    design: np.ndarray, y: np.ndarray, weights: np.ndarray, coefficients: np.ndarray
) -> float:
    z = design @ coefficients
    return float(weights @ (y * z - np.logaddexp(0, z)))


def recalibrate(probability: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Return expit(intercept + slope * log-odds) of each probability, shape (rows,)."""
    return np.asarray(expit(intercept + slope * log_odds(probability)))


DEGREE = 3
"""Of the calibration curve: a line cannot follow a model that is off only at high scores."""
REACH = (0.005, 0.995)
"""Quantiles of the log-odds between which the curve bends; outside its correction is constant."""


@dataclass(frozen=True)
class CalibrationCurve:
    """A correction of a model's log-odds by observed outcomes: a cubic, and its covariance.

    The corrected log-odds are x + sum of c_k u^k, where u is x, clipped to `lowest` and `highest`
    and scaled to -1 to 1. Without coefficients probabilities stay as they are.
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
        """Yield probabilities under `count` curves drawn from the curve's uncertainty, (rows,)."""
        odds, powers = self._terms(probability)
        drawn = np.zeros((count, 0))
        if self.coefficients:
            drawn = dice.multivariate_normal(self.coefficients, self.covariance, count)
        for coefficients in drawn:
            yield np.asarray(expit(odds + powers @ coefficients))

    def _terms(self, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        odds = log_odds(probability)
        return odds, _powers(odds, self.lowest, self.highest)[:, : len(self.coefficients)]


AS_THEY_ARE = CalibrationCurve([], [], 0.0, 0.0)
"""The curve that corrects nothing."""


def fit_calibration_curve(y: np.ndarray, probability: np.ndarray) -> CalibrationCurve:
    """Return the calibration curve of loans that the model was not fitted on.

    Logistic regression with the log-odds as offset, by Newton's method: Cox (1958) with more
    terms, as in Dalton (2013), Statistics in Medicine 32, 2738-2754. Each coefficient has a
    standard normal prior, so that few loans give a wide interval and not an infinite one.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted, shape (rows,).
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
    """Return the powers of the log-odds, clipped and scaled to -1 to 1, (rows, DEGREE + 1)."""
    width = highest - lowest
    place = np.clip(odds, lowest, highest) - (lowest + highest) / 2
    return np.vander(2 * place / width if width else place, DEGREE + 1, increasing=True)


@dataclass(frozen=True)
class CalibrationLine:
    """The line from predicted to observed log-odds: slope 1 and intercept 0 are perfect."""

    slope: float
    intercept: float
    standard_error: float


def fit_calibration_line(y: np.ndarray, probability: np.ndarray) -> CalibrationLine:
    """Return slope, intercept and the slope's standard error, fitted by maximum likelihood.

    Cox (1958), Biometrika 45, 562-565; the calibration slope of Steyerberg (2019), Clinical
    Prediction Models, chapter 15. Below 1 predictions are too extreme, above 1 not extreme enough.
    The standard error follows from the information. All are nan where there is no maximum, as for
    constant predictions.
    """
    slope, intercept = slope_and_intercept(y, probability)
    if not np.isfinite(slope):
        return CalibrationLine(np.nan, np.nan, np.nan)
    design = np.column_stack([np.ones(len(y)), log_odds(probability)])
    predicted = expit(design @ np.array([intercept, slope]))
    information = design.T @ (design * (predicted * (1 - predicted))[:, None])
    return CalibrationLine(slope, intercept, float(np.sqrt(np.linalg.inv(information)[1, 1])))


def finite_or_none(value: Any) -> Any:
    """Return the value fit for JSON: None for nan, in lists too."""
    if isinstance(value, list):
        return [finite_or_none(each) for each in value]
    return None if value != value else value
