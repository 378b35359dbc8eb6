"""Whether probabilities mean what they say: calibration slope, intercept and curve, and mending."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

SMALLEST = 1e-12
"""Probabilities are kept this far from 0 and 1, so that their log-odds are finite."""
TOLERANCE = 1e-6
"""Newton's method has settled when a step is below: the next one would be its square."""


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Return the log-odds of probabilities, finite for 0 and 1 too."""
    return np.asarray(logit(np.clip(probability, SMALLEST, 1 - SMALLEST)))


def slope_and_intercept(
    y: np.ndarray, probability: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """Return slope and intercept of the logistic regression of outcomes on log-odds (Cox 1958).

    1 and 0 where the probabilities are calibrated; a slope below 1 says that they are too far
    apart. Platt's calibration (1999) is `recalibrated` with these two. Fitted by Newton's method
    to the maximum of the likelihood.

    Args:
        y: outcomes, 1 for default, shape (rows,).
        probability: predicted, shape (rows,).
        weights: how often each row counts, shape (rows,); once where None.

    Returns:
        nan and nan where there is no maximum: one outcome only, equal probabilities, or
        probabilities that part the outcomes without fault.
    """
    weights = np.ones(len(y)) if weights is None else weights
    there = weights > 0
    x, y, weights = log_odds(probability)[there], y[there].astype(float), weights[there]
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
        gradient = design.T @ (weights * (y - p))
        hessian = (design * (weights * p * (1 - p))[:, None]).T @ design
        try:
            step = np.linalg.solve(hessian, gradient)
        except np.linalg.LinAlgError:
            return nothing
        after = _log_likelihood(design, y, weights, found + step)
        while after < before and np.abs(step).max() > 1e-10:
            step = step / 2
            after = _log_likelihood(design, y, weights, found + step)
        found, before = found + step, after
        if np.abs(step).max() < 1e-9:
            slope = float(found[0] / spread)
            return slope, float(found[1] - slope * centre)
    return nothing


def slopes_and_intercepts(
    y: np.ndarray, probability: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return `slope_and_intercept` for each row of weights, shapes (resamples,).

    Newton's method from the solution for equal weights, which is near, all rows at once; a row
    that does not settle is solved on its own.

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


def _log_likelihood(
    design: np.ndarray, y: np.ndarray, weights: np.ndarray, of: np.ndarray
) -> float:
    z = design @ of
    return float(weights @ (y * z - np.logaddexp(0, z)))


def recalibrate(probability: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """Return expit(intercept + slope * log-odds) of each probability, shape (rows,)."""
    return np.asarray(expit(intercept + slope * log_odds(probability)))


DEGREE = 3
"""Of the calibration curve: a line misses a model that is right in the middle and timid above."""
REACH = (0.005, 0.995)
"""Quantiles of the scores between which the curve bends; beyond them its correction stays."""


@dataclass(frozen=True)
class CalibrationCurve:
    """How outcomes lay on a model's log-odds: a correction that is a cubic in them, and its error.

    The corrected log-odds are x + sum of c_k u^k, u being x between `lowest` and `highest` on the
    scale from -1 to 1. No coefficients: probabilities are taken as they are, and as known.
    """

    coefficients: list[float]
    covariance: list[list[float]]
    lowest: float
    highest: float

    def corrected(self, probability: np.ndarray) -> np.ndarray:
        """Return the probabilities as the curve corrects them, shape (rows,)."""
        odds, powers = self._terms(probability)
        return np.asarray(expit(odds + powers @ np.array(self.coefficients)))

    def draws(
        self, probability: np.ndarray, count: int, dice: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Yield the probabilities as curves correct them that the hold-out leaves open."""
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
    """Return the calibration curve of outcomes that the model was not fitted on.

    Logistic regression with the log-odds as offset, by Newton's method: Cox (1958) with more
    terms, as Dalton (2013), Statistics in Medicine 32, 2738-2754, has them. Each coefficient has
    a standard normal prior, so that few loans give a wide curve and not an endless one.

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
        information = (design * (p * (1 - p))[:, None]).T @ design + prior
        step = np.linalg.solve(information, design.T @ (y - p) - found)
        found = found + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    return CalibrationCurve(found.tolist(), np.linalg.inv(information).tolist(), lowest, highest)


def _powers(odds: np.ndarray, lowest: float, highest: float) -> np.ndarray:
    """Return the powers of the place between two limits, shape (rows, DEGREE + 1)."""
    width = highest - lowest
    place = np.clip(odds, lowest, highest) - (lowest + highest) / 2
    return np.vander(2 * place / width if width else place, DEGREE + 1, increasing=True)


@dataclass(frozen=True)
class CalibrationLine:
    """The line that turns predicted log-odds into those observed: 1 and 0 are perfect."""

    slope: float
    intercept: float
    standard_error: float


def fit_calibration_line(y: np.ndarray, probability: np.ndarray) -> CalibrationLine:
    """Fit outcomes on predicted log-odds by maximum likelihood: slope, intercept, error of slope.

    Cox (1958), Biometrika 45, 562-565, as the calibration slope of Steyerberg (2019), Clinical
    Prediction Models, chapter 15. Below 1 predictions are too extreme, above 1 too timid.
    The error is that of the likelihood's information; nan where the fit does not exist, as for
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
    """Return the value fit for JSON, which knows no nan."""
    if isinstance(value, list):
        return [finite_or_none(each) for each in value]
    return None if value != value else value
