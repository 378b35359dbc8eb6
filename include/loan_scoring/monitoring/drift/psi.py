"""Population stability index: the field's measure of how far shares by bin have moved.

Its noise falls with the sizes of both samples, so each value comes with what chance explains.
"""

import numpy as np
from scipy.special import chdtri


def psi(baseline_counts: np.ndarray, batch_counts: np.ndarray) -> float:
    """Return the index of two count vectors over the same bins, shape (bins,).

    Half a count is added to every bin, so that an empty one gives a finite value.
    Source: Siddiqi (2006), "Credit Risk Scorecards", chapter 9: sum of (a - e) ln(a / e).

    >>> round(psi(np.array([50, 50]), np.array([50, 50])), 6)
    0.0
    """
    expected = (baseline_counts + 0.5) / (baseline_counts.sum() + 0.5 * len(baseline_counts))
    actual = (batch_counts + 0.5) / (batch_counts.sum() + 0.5 * len(batch_counts))
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def psi_noise(bins: int, baseline_size: int, batch_size: int, quantile: float) -> float:
    """Return the value that the index stays below with probability `quantile` without drift.

    Without drift the index over (1/m + 1/n) is chi-square with bins - 1 degrees of freedom:
    Yurdakul, Naranjo (2020), "Statistical properties of the population stability index".
    """
    if bins < 2:
        return 0.0
    return float(chdtri(bins - 1, 1 - quantile)) * (1 / baseline_size + 1 / batch_size)
