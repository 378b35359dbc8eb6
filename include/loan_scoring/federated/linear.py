"""Fit a logistic regression at one site, near the common model, on standardised columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

RIDGE = 1e-4
"""Weight of the penalty on coefficients of standardised columns, the same at all sites."""


@dataclass(frozen=True)
class Standard:
    """Means and standard deviations of encoded columns over all sites, shape (columns,)."""

    means: np.ndarray
    deviations: np.ndarray

    def apply(self, encoded: np.ndarray) -> np.ndarray:
        """Return standardised columns. A column that hardly varies is 0."""
        varies = self.deviations > 1e-6
        scale = np.where(varies, self.deviations, 1.0)
        return np.where(varies, (encoded - self.means) / scale, 0.0)

    def coefficients(self, weights: np.ndarray) -> tuple[np.ndarray, float]:
        """Return coefficients and intercept that belong to columns as they are encoded."""
        varies = self.deviations > 1e-6
        found = np.where(varies, weights[:-1] / np.where(varies, self.deviations, 1.0), 0.0)
        return found, float(weights[-1] - found @ self.means)


def standard_of(means: np.ndarray, squares: np.ndarray) -> Standard:
    """Return the standard of columns whose means, and means of squares, are given."""
    return Standard(means, np.sqrt(np.maximum(squares - means**2, 0.0)))


def clip_rows(Z: np.ndarray) -> np.ndarray:
    """Return rows that are at most `row_limit` long, so that one loan has a bounded influence."""
    lengths = np.linalg.norm(Z, axis=1, keepdims=True)
    return np.asarray(Z * np.minimum(1.0, row_limit(Z.shape[1]) / np.maximum(lengths, 1e-12)))


def row_limit(columns: int) -> float:
    """Return how long a row of standardised columns may be with differential privacy."""
    return float(np.sqrt(columns))


def sensitivity(columns: int, loans: int, proximal: float) -> float:
    """Return how far one other loan can move the fit (Chaudhuri et al. 2011, corollary 8).

    The mean loss of rows of length R has a gradient of at most R, and the proximal term makes the
    objective strongly convex, so that the minimum moves by at most 2 R / (loans * proximal).
    """
    return 2 * float(np.hypot(row_limit(columns), 1.0)) / (loans * proximal)


def fit_near(
    Z: np.ndarray, y: np.ndarray, start: np.ndarray, proximal: float, *, is_card: bool = False
) -> np.ndarray:
    """Return the weights that minimise log loss + ridge + proximal / 2 * |weights - start|^2.

    This is FedProx's local problem (Li et al. 2020). Without a proximal term it is FedAvg's.

    Args:
        Z: standardised columns, shape (rows, columns).
        y: outcomes, 1 for default, shape (rows,).
        start: weights of the common model, with the intercept last, shape (columns + 1,).
        proximal: weight of the proximal term.
        is_card: whether no coefficient may be negative, as in a scorecard.
    """
    Z = np.ascontiguousarray(Z)

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = Z @ weights[:-1] + weights[-1]
        loss = float(np.mean(np.logaddexp(0, margins) - y * margins))
        residuals = (expit(margins) - y) / len(y)
        gradient = np.append(Z.T @ residuals, residuals.sum())
        away = weights - start
        loss += RIDGE / 2 * float(weights[:-1] @ weights[:-1]) + proximal / 2 * float(away @ away)
        gradient += proximal * away
        gradient[:-1] += RIDGE * weights[:-1]
        return loss, gradient

    bounds: Any = None
    if is_card:
        bounds = [(0, None)] * Z.shape[1] + [(None, None)]
    with threadpool_limits(limits=1):
        found = minimize(
            objective, start, jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": 300, "ftol": 1e-10, "gtol": 1e-6},
        )  # fmt: skip
    return np.asarray(found.x)
