"""Calculate what a weighted sum of outcomes should be, and how far chance can move it.

The number of defaults of a batch is a sum of outcomes with weight 1. Its AUC is nearly a sum of
outcomes too, with the weights of `auc_weights`. So both are tested with the same variance.
"""

from dataclasses import dataclass
from math import factorial

import numpy as np
from scipy.special import ndtri
from scipy.stats import norm

from loan_scoring.statistics.auc import outranked
from loan_scoring.statistics.calibration_curve import CalibrationCurve

SMALLEST_TERM = 1e-9
"""Powers of the correlation below this limit are left out of `correlation_variance`."""


@dataclass(frozen=True)
class SumVariance:
    """The variance of a weighted sum of outcomes, by source.

    `chance`: each loan defaults or not with its own probability. `correlation`: loans of a batch
    default together in bad times. `curve`: the calibration of the model is known only from its
    hold-out.
    """

    chance: float
    correlation: float
    curve: float

    @property
    def total(self) -> float:
        """Return the variance from all sources, which are independent."""
        return self.chance + self.correlation + self.curve


def sum_variance(
    probability: np.ndarray,
    true: np.ndarray,
    curve: CalibrationCurve,
    correlation: float,
    weights: np.ndarray,
) -> SumVariance:
    """Return the variance of sum(weights * (outcomes - true)).

    Args:
        probability: predicted probabilities, shape (rows,).
        true: probability of default of each loan, as corrected by the curve, shape (rows,).
        curve: calibration curve of the model's hold-out.
        correlation: correlation of two loans in the one-factor model of `correlation_variance`.
        weights: weight of each outcome, shape (rows,).
    """
    own = true * (1 - true)
    return SumVariance(
        float((weights**2 * own).sum()),
        correlation_variance(true, correlation, weights),
        curve.variance_of_sum(probability, weights * own),
    )


def correlation_variance(true: np.ndarray, correlation: float, weights: np.ndarray) -> float:
    """Return what correlated defaults add to the variance of a weighted sum of outcomes.

    In the model of Vasicek (2002), "Loan portfolio value", Risk 15, 160-162, loan i defaults if a
    normal variable is below x_i = Phi^-1(p_i), and the variables of two loans have the given
    correlation r. The covariance of two outcomes is Phi2(x_i, x_j; r) - p_i p_j, which is the sum
    over k of r^(k+1) / (k+1)! He_k(x_i) phi(x_i) He_k(x_j) phi(x_j) (Pearson 1900, the tetrachoric
    series; He_k are Hermite polynomials). So the sum over all pairs i != j needs no pair: it is the
    square of a sum over the loans, less the sum of the squares.

    Args:
        true: probability of default of each loan, shape (rows,).
        correlation: r, from 0 to below 1.
        weights: weight of each outcome, shape (rows,).
    """
    x = ndtri(true)
    density = weights * norm.pdf(x)
    x = np.where(np.isfinite(x), x, 0.0)  # a loan that is certain has density 0
    found, power, k = 0.0, correlation, 0
    before, polynomial = np.zeros_like(x), np.ones_like(x)
    while power > SMALLEST_TERM:
        term = density * polynomial
        found += power / factorial(k + 1) * float(term.sum() ** 2 - (term**2).sum())
        before, polynomial = polynomial, x * polynomial - k * before
        k, power = k + 1, power * correlation
    return found


def auc_weights(probability: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return how much the AUC changes per unit of each outcome, shape (rows,).

    These are the derivatives of `auc.expected_auc` by the true probabilities. To first order, the
    realised AUC is the expected AUC plus sum(weights * (outcomes - true)). The sum's variance is
    that of Hanley, McNeil (1982) and of DeLong's method, but under the probabilities instead of
    the outcomes. All weights are 0 if no pair of a default and a paid loan is expected.

    Args:
        probability: scores, shape (rows,).
        true: probability that each loan defaults, shape (rows,).
    """
    _, places = np.unique(probability, return_inverse=True)
    bad = np.bincount(places, weights=true)
    good = np.bincount(places, weights=1 - true)
    own = float(np.sum(true * (1 - true)))
    pairs = bad.sum() * good.sum() - own
    if not pairs > 0:
        return np.zeros(len(true))
    paid_below = outranked(good)
    defaults_above = bad.sum() - outranked(bad)
    area = (float(bad @ paid_below) - own / 2) / pairs
    # A loan cannot outrank itself: terms with i = j are taken out of both sums.
    won = (paid_below - defaults_above)[places] - (1 - 2 * true) / 2
    counted = good.sum() - bad.sum() - (1 - 2 * true)
    return np.asarray((won - area * counted) / pairs)
