"""Correct the probabilities of a model by a curve that is fitted to observed outcomes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from loan_scoring.statistics.calibration import SETTLED, information_matrix, log_odds

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
        information = information_matrix(design, p * (1 - p)) + prior
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
